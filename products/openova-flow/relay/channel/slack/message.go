package slack

import (
	"strings"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// Limits of texts, in bytes. Slack accepts more, but long messages are hard to read.
const (
	maxTitle    = 300
	maxSentence = 1500
	maxFact     = 800
	maxPreview  = 400 // of the sentence in a notification; escaped, it is up to five times as long, and Slack recommends 4,000 in all
)

// escape escapes the three characters of Slack's markup. Without them there is no mention and no link.
func escape(s string) string { return escapes.Replace(s) }

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// message returns the message of a delivery. Its body is rich text, whose texts are shown as they are: nothing in them is markup.
func (s *Sender) message(d *channel.Delivery) message {
	n := &d.Notice
	title, status := terminal.Text(n.Title(), maxTitle), n.Status()
	sentence := terminal.Text(n.Sentence, maxSentence)
	line := []any{emoji(n), text(" "), bold(title), text(": " + status)}
	if n.Link != "" {
		line = append(line, text("  "), map[string]any{"type": "link", "url": n.Link, "text": "Open"})
	}
	sections := []any{section(line...)}
	preview := title + ": " + status
	if sentence != "" { // Slack rejects a message with an empty text
		sections = append(sections, section(text(sentence)))
		preview += ". " + terminal.Text(n.Sentence, maxPreview)
	}
	for _, f := range n.Facts() {
		value := text(terminal.Text(f.Value, maxFact))
		if f.Name == "Run" {
			value["style"] = map[string]bool{"code": true}
		}
		sections = append(sections, section(bold(f.Name), text(" "), value))
	}
	return message{
		Channel: s.Channel, Text: escape(preview), Parse: "none",
		Blocks:   []any{map[string]any{"type": "rich_text", "elements": sections}},
		Metadata: &metadata{eventType, map[string]string{"subject": d.Subject(), "id": d.ID()}},
	}
}

func emoji(n *notice.Notice) map[string]any {
	name := "large_yellow_circle"
	switch {
	case n.Phase == notice.Resolved && (n.Severity == notice.Info || n.Rollout == nil && n.Revision == nil):
		name = "large_green_circle"
	case n.Severity == notice.Critical:
		name = "red_circle"
	case n.Severity == notice.Info:
		name = "large_blue_circle"
	}
	return map[string]any{"type": "emoji", "name": name}
}

func section(elements ...any) map[string]any {
	return map[string]any{"type": "rich_text_section", "elements": append(elements, text("\n"))}
}

func text(s string) map[string]any { return map[string]any{"type": "text", "text": s} }

func bold(s string) map[string]any {
	t := text(s)
	t["style"] = map[string]bool{"bold": true}
	return t
}
