curl -X GET "http://localhost:5000/api/conversation/conv_919325590143_20251003_115804" \
  -H "Authorization: Bearer YOUR_JWT_TOKEN" \
  -H "Accept: application/json"

curl -N -X GET "http://localhost:5000/api/conversation/conv_919325590143_20251003_115804/stream" \
  -H "Authorization: Bearer YOUR_JWT_TOKEN" \
  -H "Accept: text/event-stream"
