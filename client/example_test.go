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

// Sign in as an operator, take the most urgent conversation that waits, answer, and
// hand it back.
func ExampleClient_Takeover() {
	ctx := context.Background()
	server, err := client.New("http://localhost:8080", client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	in, err := server.Login(ctx, client.Login{Username: "maya", Password: "..."})
	if err != nil {
		log.Fatal(err)
	}
	maya := server.With(in.Token)
	waiting, _, err := maya.Conversations(ctx, client.List{Mode: tandem.ModeWaiting, Limit: 1})
	if err != nil || len(waiting) == 0 {
		log.Fatal("nobody waits ", err)
	}
	row, err := maya.Takeover(ctx, waiting[0].ID, false)
	if err != nil {
		log.Fatal(err) // "Ravi holds this conversation.", for one
	}
	if _, err := maya.Say(ctx, client.Say{Conversation: row.ID, Messages: []client.Saying{{Text: "This is Maya. How can I help?"}}}); err != nil {
		log.Fatal(err)
	}
	if _, err := maya.Release(ctx, row.ID, "agent"); err != nil {
		log.Fatal(err)
	}
}

// Follow a conversation as it is held, to its end.
func ExampleClient_FollowConversation() {
	c, err := client.New("http://localhost:8080", client.Options{Token: "eyJ..."})
	if err != nil {
		log.Fatal(err)
	}
	for e, err := range c.FollowConversation(context.Background(), "conv_919325590143_20251003_115804", client.Resume{}) {
		if err != nil {
			log.Fatal(err)
		}
		switch e.Type {
		case client.Initial:
			fmt.Println(e.Transcript.Urgency, len(e.Transcript.Messages), "messages until now")
		case client.NewMessages:
			for _, m := range e.Entries {
				fmt.Println(m.Role, m.Text)
			}
		case client.Updated:
			fmt.Println(e.Row.Mode, e.Row.Holder)
		case client.Ended:
			fmt.Println(e.Text)
		}
	}
}

// Keep an operator's list, and one of its conversations open, over one connection.
func ExampleClient_Board() {
	c, err := client.New("http://localhost:8080", client.Options{Token: "eyJ..."})
	if err != nil {
		log.Fatal(err)
	}
	list := map[string]client.Row{}
	for e, err := range c.Board(context.Background(), []string{"conv_919325590143_20251003_115804"}, client.Resume{}) {
		if err != nil {
			log.Fatal(err)
		}
		switch e.Type {
		case client.Snapshot:
			clear(list)
			for _, row := range e.Rows {
				list[row.ID] = row
			}
		case client.Upsert:
			list[e.Row.ID] = *e.Row
		case client.Removed:
			delete(list, e.Conversation)
		case client.NewMessages:
			fmt.Println(e.Conversation, len(e.Entries), "more")
		}
	}
}
