import { useEffect, useState } from 'react';

interface Message {
  message_id: string;
  role: string;
  content: string;
  timestamp: string;
  sources: string;
}

export function useConversationStream(conversationId: string, token: string) {
  const [messages, setMessages] = useState<Message[]>([]);
  const [isConnected, setIsConnected] = useState(false);
  const [error, setError] = useState<string | null>(null);

  useEffect(() => {
    const eventSource = new EventSource(
      `/api/conversation/${conversationId}/stream`,
      {
        headers: {
          'Authorization': `Bearer ${token}`
        }
      }
    );

    eventSource.addEventListener('initial', (event) => {
      const data = JSON.parse(event.data);
      setMessages(data.messages);
      setIsConnected(true);
    });

    eventSource.addEventListener('new_messages', (event) => {
      const data = JSON.parse(event.data);
      setMessages(prev => [...prev, ...data.messages]);
    });

    eventSource.addEventListener('ended', () => {
      setIsConnected(false);
      eventSource.close();
    });

    eventSource.addEventListener('error', (event) => {
      const data = JSON.parse(event.data);
      setError(data.error);
      setIsConnected(false);
      eventSource.close();
    });

    eventSource.onerror = () => {
      setIsConnected(false);
      eventSource.close();
    };

    return () => {
      eventSource.close();
    };
  }, [conversationId, token]);

  return { messages, isConnected, error };
}

// Usage in component
function ConversationView({ conversationId }: { conversationId: string }) {
  const token = localStorage.getItem('auth_token');
  const { messages, isConnected, error } = useConversationStream(conversationId, token);

  if (error) return <div>Error: {error}</div>;
  if (!isConnected) return <div>Connecting...</div>;

  return (
    <div>
      {messages.map(msg => (
        <div key={msg.message_id}>
          <strong>{msg.role}:</strong> {msg.content}
        </div>
      ))}
    </div>
  );
}
