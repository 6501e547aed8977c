package client_test

import (
	"context"
	"fmt"
	"log"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/client"
)

// Follow a participant's events from where an earlier run left off.
func ExampleClient_Follow() {
	c, err := client.New("http://localhost:8080", client.Options{Token: "sk-..."})
	if err != nil {
		log.Fatal(err)
	}
	place := "" // read from where you keep it
	for e, err := range c.Follow(context.Background(), client.Follow{Workflow: "customer-support", Participant: "user-123", After: place}) {
		if err != nil {
			log.Fatal(err) // no reconnecting helps against this
		}
		switch e.Type {
		case client.Said:
			fmt.Println(e.Message.CreatedBy, e.Message.Text)
		case client.Gap, client.Reset:
			fmt.Println("some messages are no longer there")
		}
		place = e.Cursor // keep it
	}
}

// Chat as a participant and show the answer as it is written.
func ExampleClient_Chat() {
	ctx := context.Background()
	c, err := client.New("http://localhost:8080", client.Options{Token: "eyJ..."})
	if err != nil {
		log.Fatal(err)
	}
	chat, err := c.Chat(ctx, client.ChatOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer chat.Close()
	if _, err := chat.Send(ctx, "Hello"); err != nil {
		log.Fatal(err)
	}
	for e, err := range chat.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		switch e.Type {
		case client.Token:
			fmt.Print(e.Text)
		case client.End:
			fmt.Println()
			return
		}
	}
}

// Answer as a workflow engine does, in its own time. The key makes a repeat harmless.
func ExampleClient_Push() {
	c, err := client.New("http://localhost:8080", client.Options{Token: "sk-..."})
	if err != nil {
		log.Fatal(err)
	}
	done, err := c.Push(context.Background(), client.Push{
		Workflow: "orders", Participant: "user-123", Text: "Your order has left.", RequestID: "req-1", Key: "order-17-shipped",
	})
	if tandem.KindOf(err) == tandem.Held && err != nil {
		fmt.Println("a person has taken over")
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.ThreadID, done.Draft)
}
