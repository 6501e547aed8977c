// With API Key
const eventSource = new EventSource(
  'https://api.example.com/api/user/sse/events?workflow=customer-support&participantId=user-123&tenantId=tenant-id&apikey=sk-key'
);

// Event listeners
eventSource.addEventListener('Chat', (event) => {
  const message = JSON.parse(event.data);
  console.log('Chat:', message.text);
});

eventSource.addEventListener('Data', (event) => {
  const message = JSON.parse(event.data);
  console.log('Data:', message.data);
});

eventSource.addEventListener('Handoff', (event) => {
  const message = JSON.parse(event.data);
  console.log('Handoff:', message.data);
});

eventSource.addEventListener('heartbeat', (event) => {
  const data = JSON.parse(event.data);
  console.log('Heartbeat:', data.subscriberCount, 'subscribers');
});
