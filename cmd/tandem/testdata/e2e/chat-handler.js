function handleIncomingMessage(message) {
  switch(message.type) {
    case 'connection':
      showSystemMessage(message.message);
      break;
      
    case 'stream-start':
      createNewAIMessage(message.messageId);
      break;
      
    case 'stream-token':
      appendToAIMessage(message.messageId, message.token);
      break;
      
    case 'stream-end':
      finalizeAIMessage(message.messageId);
      break;
      
    case 'human-escalation-response':
      showSystemMessage(message.message);
      break;
      
    case 'error':
      showError(message.message);
      break;
      
    case 'pong':
      console.log('Connection alive');
      break;
  }
}
