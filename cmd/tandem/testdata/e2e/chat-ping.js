const pingMessage = {
  type: 'ping',
  timestamp: new Date().toISOString()
};

websocket.send(JSON.stringify(pingMessage));
