package flow

// IDSyntax describes the flow ids that ValidID accepts, for error messages and help.
const IDSyntax = `1 to 128 characters of A-Z a-z 0-9 . _ : -, but neither "." nor ".."`

// ValidID reports whether id is a valid flow id. Ids are part of URL paths, where "." and ".." have a meaning
// of their own.
func ValidID(id string) bool {
	if len(id) < 1 || len(id) > 128 || id == "." || id == ".." {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}
