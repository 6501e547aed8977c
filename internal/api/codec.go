package api

import (
	tandem "github.com/seed4677ff1f/tandem"
)

// Codec is how every face writes what its readers see. The wiring gives it to the
// hub, which calls it once for each event and view and shares the bytes.
func Codec() tandem.Codec {
	return tandem.Codec{
		Event: func(v tandem.View, a tandem.Address, e *tandem.Event, _ int) []byte {
			switch v.Face {
			case tandem.FaceEvents:
				return participantEvent(v, a, e)
			case tandem.FaceChat:
				return chatEvent(v, a, e)
			}
			return nil
		},
		Start: func(v tandem.View, a tandem.Address, s tandem.AnswerStarted, e *tandem.Event) []byte {
			switch v.Face {
			case tandem.FaceEvents:
				return participantStart(s, e)
			case tandem.FaceChat:
				return chatStart(v, a, s, e)
			}
			return nil
		},
		Delta: func(v tandem.View, a tandem.Address, d tandem.Delta) []byte {
			switch v.Face {
			case tandem.FaceEvents:
				return participantDelta(d)
			case tandem.FaceChat:
				return chatDelta(v, a, d)
			}
			return nil
		},
	}
}
