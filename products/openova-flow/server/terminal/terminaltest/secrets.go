// Package terminaltest has what tests of text for people have in common.
package terminaltest

// SecretURLs are values of a setting or an argument of which no error may repeat the part `hidden`: a user, a password, a query or a fragment, in
// addresses that are well formed and in others.
var SecretURLs = []string{"https://me:hidden@host", "https://host/?token=hidden", "https://host/#hidden", "me:hidden@host:4222", "nats://a:1,tls://hidden@host:2",
	"https://me:hidden@host:x", "https://host:443?hidden", "ftp://me:hid den@host/hidden", "https://me:%%hidden@host", "https://me%3Ahidden%40host", "\x00https://hidden@host",
	"http:host?hidden", "https://[hidden@host", "HTTPS://HOST?hidden"}
