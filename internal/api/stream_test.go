package api_test

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// chunk reads one chunk as it lies on the wire.
func chunk(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	line, err := in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	size, err := strconv.ParseInt(strings.TrimSuffix(line, "\r\n"), 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, size+2)
	if _, err := io.ReadFull(in, body); err != nil || !strings.HasSuffix(string(body), "\r\n") {
		t.Fatalf("%q %v", body, err)
	}
	return string(body[:size])
}

// What is told at once is one chunk, which clients pass on at once that wait for
// so many bytes of a body without chunks; and the last one says that the server
// ended the stream, and did not break down. To HTTP/1.0 it is a body that ends with
// the connection. Seen to fail by leaving the chunks out.
func TestStream_isOneChunkForWhatIsToldAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	agent, ann := s.Key(tandem.Agent), s.Token("ann", tandem.Participant)
	ask := func(version string) *bufio.Reader {
		conn := s.Dial()
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "GET /api/user/sse/events?%s&heartbeatSeconds=300 HTTP/%s\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", annsThread, version, ann)
		in := bufio.NewReader(conn)
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if chunked := "Transfer-Encoding: chunked\r\n"; line == chunked && version == "1.0" {
				t.Errorf("HTTP/%s: %s", version, line)
			}
		}
		return in
	}
	now := ask("1.1")
	old := ask("1.0")
	if hello := chunk(t, now); !strings.Contains(hello, "event: connected\n") || !strings.HasSuffix(hello, "\n\n") {
		t.Errorf("the first chunk: %q", hello)
	}
	s.push(agent, "ann", "one")
	if told := chunk(t, now); !strings.HasPrefix(told, "event: Chat\n") || !strings.HasSuffix(told, "\n\n") {
		t.Errorf("the next chunk: %q", told)
	}
	if err := s.Auth.Revoke(t.Context(), "default", auth.Revoke{Subject: "ann"}); err != nil {
		t.Fatal(err)
	}
	if bye := chunk(t, now); !strings.HasPrefix(bye, "event: disconnected\n") {
		t.Errorf("the last chunk: %q", bye)
	}
	if rest, err := io.ReadAll(now); string(rest) != "0\r\n\r\n" || err != nil {
		t.Errorf("at the end: %q %v", rest, err)
	}
	if all, err := io.ReadAll(old); err != nil || !strings.HasPrefix(string(all), "retry: ") || strings.Contains(string(all), "\r") {
		t.Errorf("over HTTP/1.0: %q %v", all, err)
	}
}
