const token = localStorage.getItem('token'); // Get from login API
const websocket = new WebSocket(`ws://localhost:3001?token=${token}`);

websocket.onopen = (event) => {
  console.log('WebSocket connected!');
};

websocket.onmessage = (event) => {
  const message = JSON.parse(event.data);
  handleIncomingMessage(message);
};

websocket.onclose = (event) => {
  console.log('WebSocket disconnected');
};

websocket.onerror = (error) => {
  console.error('WebSocket error:', error);
};
