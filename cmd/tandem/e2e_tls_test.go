package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// selfSigned writes a certificate for localhost and its key.
func selfSigned(t *testing.T) (cert, key string, trust *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, bytes []byte) string {
		name = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	trust = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trust.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8), trust
}

// With a certificate the server speaks HTTP/2, and the stream and the chat are
// the same. Seen to fail by a server without HTTP/2, and by a stream that is not
// flushed.
func TestTLS_streamsOverHTTP2AndChats(t *testing.T) {
	t.Parallel()
	cert, private, trust := selfSigned(t)
	s := serve(t, "--tls-cert", cert, "--tls-key", private, "--agent", "concierge")
	key, token := s.key("--role", "agent"), s.token(participant)
	base := "https://" + s.host()
	events := base + "/api/user/sse/events?workflow=customer-support&participantId=user-123&tenantId=tenant-id&heartbeatSeconds=1"

	h2 := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, ForceAttemptHTTP2: true}}
	defer h2.CloseIdleConnections()
	st := follow(t, h2, events, token)
	if st.resp.ProtoMajor != 2 {
		t.Errorf("the stream came by %s", st.resp.Proto)
	}
	st.next("connected")

	curl := need(t, "curl", "the client of the documents", "curl")
	byCurl, _ := run(t, exec.Command(curl, "-sS", "--http2", "-N", "-D", "/dev/stderr", "--cacert", cert, events+"&apikey="+key))
	byCurl.next(t, "HTTP/2", func(line string) bool { return strings.HasPrefix(line, "HTTP/2 200") })
	byCurl.next(t, "connected", func(line string) bool { return line == "event: connected" })

	h1 := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}}
	defer h1.CloseIdleConnections()
	c := open(t, "wss://"+s.host()+"?token="+token, h1)
	c.send(map[string]any{"type": "chat", "content": "What is Tandem?"})
	a := c.answer(nil)
	if a.finish != "stop" || a.tokens < 3 {
		t.Errorf("the answer over wss: %+v", a)
	}
	if m := st.next("Chat"); m.Text != a.text || m.ID != a.id {
		t.Errorf("over HTTP/2: %+v; want %+v", m, a)
	}
	line := byCurl.next(t, "the answer", func(line string) bool { return strings.HasPrefix(line, "data: ") && strings.Contains(line, a.id) })
	if !strings.Contains(line, `"messageType":"Chat"`) {
		t.Errorf("by curl: %s", line)
	}
	st.next("heartbeat")

	// A plain request to the port gets an answer that says what is wrong, not bytes of TLS.
	if status, text := s.ask(http.DefaultClient, "GET", "http://"+s.addrs[0]+"/healthz", "", ""); status != http.StatusBadRequest {
		t.Errorf("plain HTTP: %d %s", status, text)
	}
	if status, text := s.ask(h2, "GET", base+"/healthz", "", ""); status != http.StatusOK || text != "ok\n" {
		t.Errorf("healthz: %d %s", status, text)
	}
}

// A page over TLS: its stream comes by HTTP/2, and its socket finds a connection
// that it can have beside it. Seen to fail by a stream that is not flushed.
func TestTLS_inABrowser(t *testing.T) {
	t.Parallel()
	cert, private, _ := selfSigned(t)
	s := serve(t, "--tls-cert", cert, "--tls-key", private, "--agent", "concierge")
	b := browse(t, filledIn(s, s.token(participant)), strings.ReplaceAll(`
		const stream = new EventSource('https://HOST/api/user/sse/events?workflow=customer-support&participantId=user-123&access_token=' + token);
		stream.addEventListener('Chat', (event) => say('Chat', JSON.parse(event.data).text));
		stream.addEventListener('connected', () => {
			const socket = new WebSocket('wss://HOST/?token=' + token);
			socket.onopen = () => socket.send(JSON.stringify({ type: 'chat', content: 'Hello' }));
			socket.onmessage = (event) => say('frame', JSON.parse(event.data));
			socket.onerror = () => say('uncaught', 'no socket');
		});`, "HOST", s.host()))
	var f frame
	for f.Type != "stream-end" {
		b.next("frame", &f)
	}
	if text := b.text("Chat"); !strings.HasPrefix(text, "Hello.") || f.FinishReason != "stop" {
		t.Errorf("%q, %+v", text, f)
	}
}

// What listens on a file is the same server. Seen to fail by leaving behind the
// file of a server that was killed.
func TestListen_unixSocket(t *testing.T) {
	t.Parallel()
	curl := need(t, "curl", "the client of the documents", "curl")
	folder, err := os.MkdirTemp("", "tandem") // a socket's path is short; the test's folder is not
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	socket := filepath.Join(folder, "t.sock")
	s := serve(t, "--listen", "unix:"+socket, "--listen", "127.0.0.1:0")
	s.secrets = append(s.secrets, "Over the file.")
	key := s.key("--role", "agent")

	events := "/api/user/sse/events?workflow=customer-support&participantId=user-123&tenantId=tenant-id&apikey=" + key
	byCurl, _ := run(t, exec.Command(curl, "-sS", "-N", "--unix-socket", socket, "http://localhost"+events))
	byCurl.next(t, "connected", func(line string) bool { return line == "event: connected" })
	st := follow(t, http.DefaultClient, "http://"+s.addrs[1]+events, "")
	st.next("connected")

	push := exec.Command(curl, "-sS", "--unix-socket", socket, "http://localhost/api/agent/conversation/outbound/chat",
		"-H", "Authorization: Bearer "+key, "-H", "Content-Type: application/json",
		"-d", `{"workflow":"customer-support","participantId":"user-123","text":"Over the file."}`)
	if out, err := push.Output(); err != nil || !strings.HasPrefix(string(out), `"thread_`) {
		t.Errorf("push over the socket: %s, %v %s", out, err, said(err))
	}
	byCurl.next(t, "the message", func(line string) bool { return strings.Contains(line, `"text":"Over the file."`) })
	if m := st.next("Chat"); m.Text != "Over the file." {
		t.Errorf("by the other address: %+v", m)
	}

	s.kill() // leaves the file behind
	s.start("--listen", "unix:"+socket)
	out, err := exec.Command(curl, "-sS", "--unix-socket", socket, "http://localhost/healthz").Output()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("after a crash: %q, %v %s", out, err, said(err))
	}
	s.stop()
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the file is still there after an orderly end: %v", err)
	}
}

// Metrics and profiles are for an address of their own, and there is nothing else
// on it. Seen to fail by giving both addresses the same handler.
func TestOpsListen_servesWhatThePublicAddressDoesNot(t *testing.T) {
	t.Parallel()
	s := serve(t, "--listen", "127.0.0.1:0", "--ops-listen", "localhost:0")
	public, ops := "http://"+s.addrs[0], "http://"+s.addrs[1]
	for _, c := range []struct {
		path        string
		public, ops int
		has         string
	}{
		{"/metrics", 404, 200, "tandem_"},
		{"/debug/pprof/", 404, 200, "goroutine"},
		{"/debug/pprof/heap?debug=1", 404, 200, "heap profile"},
		{"/debug/pprof/cmdline", 404, 200, "serve"},
		{"/healthz", 200, 404, ""},
		{"/", 200, 404, ""},
		{"/api/conversations", 401, 404, ""},
	} {
		if status, _ := s.ask(http.DefaultClient, "GET", public+c.path, "", ""); status != c.public {
			t.Errorf("public %s: %d, want %d", c.path, status, c.public)
		}
		status, text := s.ask(http.DefaultClient, "GET", ops+c.path, "", "")
		if status != c.ops || !strings.Contains(text, c.has) {
			t.Errorf("ops %s: %d, want %d with %q", c.path, status, c.ops, c.has)
		}
	}
}
