package api

import (
	tandem "github.com/seed4677ff1f/tandem"
)

// Codec is how every face writes what its readers see. The wiring gives it to the
// hub, which calls it once for each event and view and shares the bytes.
func Codec() tandem.Codec {
	return tandem.Codec{
		Event: func(v tandem.View, a tandem.Address, e *tandem.Event, total int) []byte {
			switch v.Face {
			case tandem.FaceEvents:
				return participantEvent(v, a, e)
			case tandem.FaceChat:
				return chatEvent(v, a, e)
			case tandem.FaceSession:
				return sessionEvent(e)
			case tandem.FaceConversation:
				return conversationEvent(v, a, e, total)
			case tandem.FaceFeed:
				return feedEvent(v, a, e)
			}
			return nil
		},
		Messages: func(v tandem.View, a tandem.Address, together []*tandem.Event, total int) []byte {
			if v.Face == tandem.FaceConversation {
				return conversationMessages(v, together, total)
			}
			return nil
		},
		Start: func(v tandem.View, a tandem.Address, s tandem.AnswerStarted, e *tandem.Event) []byte {
			switch v.Face {
			case tandem.FaceEvents:
				return participantStart(s, e)
			case tandem.FaceChat:
				return chatStart(v, a, s, e)
			case tandem.FaceConversation:
				return conversationStart(v, s, e)
			}
			return nil
		},
		Delta: func(v tandem.View, a tandem.Address, d tandem.Delta) []byte {
			switch v.Face {
			case tandem.FaceEvents:
				return participantDelta(d)
			case tandem.FaceChat:
				return chatDelta(v, a, d)
			case tandem.FaceConversation:
				return conversationDelta(v, d)
			}
			return nil
		},
		Notice: func(v tandem.View, a tandem.Address, n tandem.Notice) []byte {
			switch v.Face {
			case tandem.FaceEvents:
				return participantNotice(v, n)
			case tandem.FaceChat:
				return chatNotice(v, a, n)
			case tandem.FaceConversation:
				return conversationNotice(v, a, n)
			}
			return nil
		},
	}
}
