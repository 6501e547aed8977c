package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/mattn/go-isatty"

	"github.com/seed4677ff1f/tandem/internal/auth"
)

// ownerLinkFile is where in the data folder the owner's link is put when there is
// no terminal to print it on.
const ownerLinkFile = "owner-link"

const ownerWelcome = `
There is no account yet. This signs you in as the owner, once, within an hour:
  %s
Or make the account here:
  tandem user add NAME --role owner --data %s

`

// welcome gives whoever starts a server without accounts a link that signs in as
// its owner: on the terminal, or in a file that only they can read.
func welcome(s *session, c Config, n *node, addrs []net.Listener) error {
	code, err := n.auth.OwnerLink(s.ctx, c.Tenant)
	if s.ctx.Err() != nil {
		return nil // told to end before it had begun: no mistake
	}
	if err != nil {
		return err
	}
	file := filepath.Join(c.Data, ownerLinkFile)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the link of an earlier start: %w", err)
	}
	if code == "" {
		return nil
	}
	link := ownerLink(c, addrs, code)
	if out, ok := s.out.(*os.File); ok && isatty.IsTerminal(out.Fd()) {
		_, err := fmt.Fprintf(out, ownerWelcome, link, c.Data)
		return err
	}
	if err := os.WriteFile(file, []byte(link+"\n"), 0o600); err != nil {
		return err
	}
	n.log.Info("there is no account yet; a link that signs in as the owner, once, within "+auth.OwnerLinkTTL.String()+", is in the file", "file", file)
	return nil
}

// ownerLink is the page that signs in with this code.
func ownerLink(c Config, addrs []net.Listener, code auth.Secret) string {
	base := c.PublicURL
	if base == "http://localhost" || base == "https://localhost" { // a port that was not known before it was open
		for _, l := range addrs {
			if a, ok := l.Addr().(*net.TCPAddr); ok {
				base += ":" + strconv.Itoa(a.Port)
				break
			}
		}
	}
	return base + "/console/#in=" + code.Reveal()
}
