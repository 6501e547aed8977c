const escalationMessage = {
  type: 'human-escalation',
  reason: 'Need human assistance',
  timestamp: new Date().toISOString()
};

websocket.send(JSON.stringify(escalationMessage));
