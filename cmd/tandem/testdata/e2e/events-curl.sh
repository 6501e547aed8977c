curl -N "https://api.example.com/api/user/sse/events?workflow=customer-support&participantId=user-123&tenantId=tenant-id&apikey=sk-key&heartbeatSeconds=30"

curl -N -H "Authorization: Bearer jwt-token" \
  "https://api.example.com/api/user/sse/events?workflow=customer-support&participantId=user-123&tenantId=tenant-id"
