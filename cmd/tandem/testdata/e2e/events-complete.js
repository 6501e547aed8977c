function connectToSSE(workflow, participantId, apiKey) {
  const url = `https://api.example.com/api/user/sse/events?workflow=${workflow}&participantId=${participantId}&tenantId=tenant-id&apikey=${apiKey}&heartbeatSeconds=15`;
  
  const eventSource = new EventSource(url);
  
  // Handle different event types
  eventSource.addEventListener('Chat', (event) => {
    const message = JSON.parse(event.data);
    displayChatMessage(message);
  });
  
  eventSource.addEventListener('Data', (event) => {
    const message = JSON.parse(event.data);
    processDataMessage(message);
  });
  
  eventSource.addEventListener('Handoff', (event) => {
    const message = JSON.parse(event.data);
    handleHandoff(message);
  });
  
  eventSource.addEventListener('heartbeat', (event) => {
    const data = JSON.parse(event.data);
    updateConnectionStatus(data.subscriberCount);
  });
  
  // Error handling
  eventSource.onerror = (error) => {
    console.error('SSE error:', error);
  };
  
  return eventSource;
}

// Usage
const sse = connectToSSE('customer-support', 'user-123', 'sk-key');
