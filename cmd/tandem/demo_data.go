package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/client"
	"github.com/seed4677ff1f/tandem/internal/auth"
)

// The words of the demo's passwords: short ones that can be read out.
const (
	demoPlants  = "aster birch cedar clover daisy elder fern fig hazel holly ivy juniper laurel lilac linden maple mint moss olive peony pine plum poppy quince reed rose rowan sage tulip violet walnut willow"
	demoAnimals = "badger beaver bison crane curlew dove eagle egret falcon finch fox gull hare hawk heron ibex jay kite lark lynx marten mole newt otter owl puffin raven robin seal stork swan wren"
)

// demoPeople makes an account of each role that answers, with passwords of this
// run alone, and says how they sign in.
func demoPeople(ctx context.Context, a *auth.Auth) (string, error) {
	var said []string
	for _, p := range []auth.AccountRequest{
		{Username: "maya", Name: "Maya", Role: tandem.Operator},
		{Username: "lee", Name: "Lee", Role: tandem.Supervisor},
		{Username: "root", Name: "Root", Role: tandem.Owner},
	} {
		password := fmt.Sprintf("%s-%s-%d", pick(demoPlants), pick(demoAnimals), 10+below(90))
		p.Tenant, p.Password = demoTenant, auth.Secret(password)
		if _, err := a.CreateAccount(ctx, p); err != nil {
			return "", err
		}
		said = append(said, fmt.Sprintf("%s / %s (%s)", p.Username, password, p.Role))
	}
	return strings.Join(said, "   "), nil
}

// pick is one of the words.
func pick(words string) string {
	list := strings.Fields(words)
	return list[below(len(list))]
}

// below is a number from 0 that nobody can foresee.
func below(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // it never fails
	}
	return int(i.Int64())
}

// openDemo opens the conversation of the published document, as its gateway would
// have done: with the ids and times that the document shows.
func openDemo(ctx context.Context, server, key string) error {
	c, err := client.New(server, client.Options{Token: key})
	if err != nil {
		return err
	}
	at := time.Date(2025, 10, 3, 11, 58, 4, 0, time.FixedZone("", int((5*time.Hour+30*time.Minute).Seconds())))
	row, _, err := c.OpenConversation(ctx, client.Open{
		Workflow: demoLine, MobileNo: "+919325590143", Urgency: tandem.UrgencyCritical, Medium: "Voice", Timestamp: at,
	})
	if err != nil {
		return err
	}
	_, err = c.Say(ctx, client.Say{Conversation: row.ID, Messages: []client.Saying{
		{Role: tandem.RoleUser, Timestamp: at, Text: "My friend is falling from a floor, what should I do?"},
		{
			Role: tandem.RoleAssistant, Timestamp: at, Text: "Call for help now. Try to break their fall if safe. Clear the area.",
			Sources: "Emergency Procedures Manual, OSHA Safety Standards",
		},
	}})
	return err
}
