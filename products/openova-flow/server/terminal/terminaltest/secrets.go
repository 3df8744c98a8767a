// Package terminaltest has test data for package terminal and its users.
package terminaltest

// SecretURLs are well-formed and malformed URLs with a secret, the text "hidden". No error may repeat it.
var SecretURLs = []string{"https://me:hidden@host", "https://host/?token=hidden", "https://host/#hidden", "me:hidden@host:4222", "nats://a:1,tls://hidden@host:2",
	"https://me:hidden@host:x", "https://host:443?hidden", "ftp://me:hid den@host/hidden", "https://me:%%hidden@host", "https://me%3Ahidden%40host", "\x00https://hidden@host",
	"http:host?hidden", "https://[hidden@host", "HTTPS://HOST?hidden"}
