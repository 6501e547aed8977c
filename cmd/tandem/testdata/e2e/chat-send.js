const chatMessage = {
  type: 'chat',
  content: 'Your message here',
  timestamp: new Date().toISOString()
};

websocket.send(JSON.stringify(chatMessage));
