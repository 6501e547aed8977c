package agent

import (
	"slices"
	"strings"
	"unicode"
)

// A language is what the concierge says in it, and the words by which it knows
// what somebody wants. Words are as tokens makes them.
type language struct {
	tag string

	hello   string // %s: questions it can answer
	about   string // what it is
	person  string // it asks for a person
	waiting string // a person was asked for before
	unknown string // it has no answer, and offers a person
	still   string // it has no answer, and a person was asked for
	welcome string

	filler   []string // says nothing about the matter
	greeting []string
	thanks   []string
	yes      []string
	people   []string // somebody to talk to
	talk     []string // a wish to, of one word or two, with people within six words
	want     []string // a wish for, with people within three words
	not      []string // turns a wish around, within three words
	verbLast bool     // the wish comes after the people
	urgent   []string
	self     []string // begins a question about the concierge: are you ..., followed by
	machine  []string // one of these, or of people
	who      []string // whole questions about it
}

func languages() []*language { return []*language{english(), spanish(), hindi()} }

func english() *language {
	return &language{
		tag: "en",
		hello: "Hello. I am the concierge, a small program that is built into Tandem; I am not a language model. " +
			"I can answer a few questions, such as:\n\n%s\n\nOr say that you want a person, and I will ask for one.",
		about: "I am the concierge, a small program that is built into Tandem. I am not a person, and not a language model either: " +
			"I look for your question among those I was given answers to, and say so when it is not there. " +
			"Say that you want a person, and I will ask for one.",
		person: "I am asking for a person now. They can see this conversation and will answer here when they are free; " +
			"I cannot tell how soon that will be. Nothing that you write until then is lost.",
		waiting: "A person has been asked for already. They can see what you write here and will answer when they are free. " +
			"Until then I am glad to answer what I can.",
		unknown: "I do not know that. I am a small program with a short list of answers, and this one is not on it. " +
			"Shall I ask for a person? Say yes, and they will see what you have written.",
		still:   "I do not know that. The person who was asked for will see your question here.",
		welcome: "You are welcome.",

		filler: list("a an the i im id me my we you your it its is are am be was do does did can could would will shall should " +
			"of to in on at for from with by about and or but if so what whats which who when where how why that this there here " +
			"please just some any have has had like tell know give get need want ok okay hey hi hello really very much more"),
		greeting: list("hello hi hey hiya greetings morning afternoon evening good help what can you do start"),
		thanks:   list("thanks thank you thx cheers great perfect ok okay bye goodbye very much so a lot"),
		yes:      list("yes yeah yep yup sure ok okay please do it go ahead"),
		self:     []string{"are you", "r u", "am i talking", "am i speaking", "am i chatting"},
		who:      []string{"who are you", "what are you", "who is this", "whats your name", "what is your name", "is this a bot", "is this a person", "is this a real person", "is this a human"},
		machine:  list("bot robot chatbot machine program computer ai llm model gpt chatgpt real"),
		people:   list("person human humans operator operators agent agents representative rep colleague colleagues someone somebody anyone staff manager supervisor people"),
		talk:     append(list("talk speak chat contact reach escalate"), "connect me", "transfer me", "put me", "pass me"),
		want:     list("want need get give call ask prefer like rather"),
		not:      list("not dont never didnt doesnt wont without"),
		urgent:   list("urgent urgently emergency immediately asap"),
	}
}

func spanish() *language {
	return &language{
		tag: "es",
		hello: "Hola. Soy el conserje, un pequeño programa incluido en Tandem; no soy un modelo de lenguaje. " +
			"Puedo responder a algunas preguntas, por ejemplo:\n\n%s\n\nO di que quieres hablar con una persona y avisaré a alguien.",
		about: "Soy el conserje, un pequeño programa incluido en Tandem. No soy una persona, y tampoco un modelo de lenguaje: " +
			"busco tu pregunta entre las que sé responder y, si no está, lo digo. " +
			"Di que quieres hablar con una persona y avisaré a alguien.",
		person: "Estoy avisando a una persona. Puede ver esta conversación y responderá aquí en cuanto esté libre; " +
			"no sé cuánto tardará. Nada de lo que escribas mientras tanto se pierde.",
		waiting: "Ya se ha avisado a una persona. Puede ver lo que escribes aquí y responderá en cuanto esté libre. " +
			"Mientras tanto, respondo a lo que sé.",
		unknown: "Eso no lo sé. Soy un pequeño programa con una lista corta de respuestas, y esta no está en ella. " +
			"¿Aviso a una persona? Di que sí y verá lo que has escrito.",
		still:   "Eso no lo sé. La persona a la que se ha avisado verá tu pregunta aquí.",
		welcome: "De nada.",

		filler: list("el la los las un una unos unas yo me mi mis tu te tus su sus se lo le es son soy eres esta estan estoy ser " +
			"de del a al en con por para sobre y o pero si que cual cuales quien cuando donde como porque esto eso este esa " +
			"favor hay he ha han muy mas puedo puede quiero quisiera necesito dime saber hola"),
		greeting: list("hola buenos buenas dias tardes noches saludos ayuda que tal puedes hacer"),
		thanks:   list("gracias muchas mil vale perfecto adios genial"),
		yes:      list("si claro vale bueno ok dale por favor"),
		self:     []string{"eres", "es usted", "usted es", "estoy hablando"},
		who:      []string{"quien eres", "que eres", "quien es usted", "como te llamas"},
		machine:  list("bot robot maquina programa ordenador computadora ia modelo real"),
		people:   list("persona humano humana operador operadora agente alguien asesor asesora encargado encargada representante"),
		talk:     list("hablar conectar conectame comunicar comunicame comuniqueme pasar pasame paseme contactar transferir ponme pongame"),
		want:     list("quiero necesito prefiero quisiera dame llama"),
		not:      list("no nunca sin"),
		urgent:   list("urgente urgencia emergencia inmediatamente"),
	}
}

func hindi() *language {
	return &language{
		tag: "hi",
		hello: "नमस्ते। मैं Tandem में बना एक छोटा-सा प्रोग्राम हूँ, कोई भाषा मॉडल नहीं। " +
			"मैं कुछ सवालों के जवाब दे सकता हूँ, जैसे:\n\n%s\n\nया कहिए कि आपको किसी व्यक्ति से बात करनी है, तो मैं किसी को बुला दूँगा।",
		about: "मैं Tandem में बना एक छोटा-सा प्रोग्राम हूँ। मैं इंसान नहीं हूँ, और कोई भाषा मॉडल भी नहीं: " +
			"जिन सवालों के जवाब मुझे दिए गए हैं, मैं आपका सवाल उन्हीं में खोजता हूँ, और न मिले तो साफ़ कह देता हूँ। " +
			"कहिए कि आपको किसी व्यक्ति से बात करनी है, तो मैं किसी को बुला दूँगा।",
		person: "मैं अभी किसी व्यक्ति को बुला रहा हूँ। वे यह बातचीत देख सकते हैं और खाली होते ही यहीं जवाब देंगे; " +
			"इसमें कितना समय लगेगा, यह मैं नहीं बता सकता। तब तक आप जो लिखेंगे, वह खोएगा नहीं।",
		waiting: "किसी व्यक्ति को पहले ही बुलाया जा चुका है। आप यहाँ जो लिखते हैं, वह वे देख सकते हैं, और खाली होते ही जवाब देंगे। " +
			"तब तक जो मुझे आता है, वह मैं बता सकता हूँ।",
		unknown: "यह मुझे नहीं पता। मैं एक छोटा-सा प्रोग्राम हूँ जिसके पास थोड़े-से जवाब हैं, और यह उनमें नहीं है। " +
			"क्या मैं किसी व्यक्ति को बुलाऊँ? हाँ कहिए, तो आपका लिखा हुआ वे देख लेंगे।",
		still:   "यह मुझे नहीं पता। जिस व्यक्ति को बुलाया गया है, वे आपका सवाल यहाँ देख लेंगे।",
		welcome: "आपका स्वागत है।",

		filler: list("मैं मुझे मेरा मेरी मेरे मुझको हम आप आपका आपकी आपके यह वह ये वे है हैं हूँ हूं था थी थे हो होता होती होते " +
			"का की के को से में पर ने और या तो कि भी ही क्या कौन कब कहाँ कहां कैसे क्यों एक कृपया जी करता करती करते करना करनी " +
			"mujhe mera meri main aap hai hain ka ki ke ko se kya ji please"),
		greeting: list("नमस्ते नमस्कार हैलो हेलो मदद सहायता namaste namaskar"),
		thanks:   list("धन्यवाद शुक्रिया बहुत ठीक dhanyavad shukriya"),
		yes:      list("हाँ हां हा जी ठीक बुलाइए बुलाओ haan han ji theek"),
		self:     []string{"आप", "तुम", "aap", "tum"},
		who:      []string{"आप कौन हैं", "आप कौन हो", "तुम कौन हो", "aap kaun hain", "aap kaun ho"},
		machine:  list("रोबोट बॉट मशीन प्रोग्राम कंप्यूटर मॉडल असली robot bot"),
		people:   list("इंसान इन्सान व्यक्ति आदमी मनुष्य ऑपरेटर एजेंट कर्मचारी किसी insaan insan vyakti aadmi kisi operator agent"),
		talk:     list("बात बातचीत कनेक्ट जोड़ जोड़ें जोड़िए जोड़ो मिला मिलाइए मिलाओ बुला बुलाएँ बुलाइए बुलाओ baat connect"),
		want:     list("चाहिए चाहता चाहती दीजिए chahiye"),
		not:      list("नहीं मत ना nahi nahin"),
		urgent:   list("तुरंत आपात आपातकालीन जल्दी turant"),
		verbLast: true,
	}
}

// list makes words comparable with those of a message.
func list(words string) []string { return tokens(words) }

func filler(w string, langs []*language) bool {
	return slices.ContainsFunc(langs, func(l *language) bool { return slices.Contains(l.filler, w) })
}

// detect is the language that text is written in, told by its script, then by
// its small words, then by the locale; English if nothing tells.
func detect(text, locale string, langs []*language) *language {
	best, most := langs[0], 0
	locale, _, _ = strings.Cut(strings.ReplaceAll(strings.ToLower(locale), "_", "-"), "-")
	words := tokens(text)
	for _, l := range langs {
		score := 0
		if l.tag == locale {
			score = 1
		}
		for _, w := range words {
			if l.knows(w) {
				score += 2
			}
		}
		if strings.ContainsFunc(text, l.letter) {
			score += 100
		}
		if score > most {
			best, most = l, score
		}
	}
	return best
}

// letter reports whether only this one of the languages is written with r.
func (l *language) letter(r rune) bool {
	switch l.tag {
	case "es":
		return strings.ContainsRune("¿¡ñÑ", r)
	case "hi":
		return unicode.Is(unicode.Devanagari, r)
	}
	return false
}

func (l *language) knows(w string) bool {
	return slices.ContainsFunc([][]string{l.filler, l.greeting, l.thanks, l.people, l.talk, l.want},
		func(words []string) bool { return slices.Contains(words, w) })
}

// only reports whether every word is in the list or says nothing, and one is in
// the list.
func (l *language) only(words, list []string) bool {
	found := false
	for _, w := range words {
		switch {
		case slices.Contains(list, w):
			found = true
		case w != stop && !slices.Contains(l.filler, w):
			return false
		}
	}
	return found
}

// wantsPerson reports whether the words ask for somebody to talk to.
func (l *language) wantsPerson(words []string) bool {
	for i, w := range words {
		within := 0
		switch {
		case slices.Contains(l.talk, w), i+1 < len(words) && slices.Contains(l.talk, w+" "+words[i+1]):
			within = 6
		case slices.Contains(l.want, w):
			within = 3
		default:
			continue
		}
		if l.verbLast {
			within = -within
		}
		negated := anyIn(near(words, i, -3), l.not) || l.verbLast && anyIn(near(words, i, 3), l.not)
		if !negated && anyIn(near(words, i, within), l.people) {
			return true
		}
	}
	return false
}

// asksWhatItIs reports whether the words ask who or what is answering.
func (l *language) asksWhatItIs(words []string) bool {
	whole := strings.Join(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == stop }), " ")
	for _, who := range l.who {
		if whole == strings.Join(tokens(who), " ") {
			return true
		}
	}
	for _, self := range l.self {
		run := tokens(self)
		for i := range words {
			end := i + len(run)
			if end > len(words) || !slices.Equal(words[i:end], run) {
				continue
			}
			if next := near(words, end-1, 5); anyIn(next, l.machine) || anyIn(next, l.people) {
				return true
			}
		}
	}
	return false
}

// near is up to n words after words[i], or before it if n is negative, of the
// same clause.
func near(words []string, i, n int) []string {
	if n < 0 {
		from := max(0, i+n)
		before := words[from:i]
		for j := len(before) - 1; j >= 0; j-- {
			if before[j] == stop {
				return before[j+1:]
			}
		}
		return before
	}
	after := words[i+1 : min(len(words), i+1+n)]
	if j := slices.Index(after, stop); j >= 0 {
		return after[:j]
	}
	return after
}

func anyIn(words, list []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
}
