package flow

// EachField calls f for each field of a JSON object, in the order in which they stand, with the text of its value. It is a way
// to read a few fields of a node's Meta without decoding all of it. An object that is not valid JSON ends the walk early.
func EachField(object Object, f func(key, value string)) {
	p := scanner{s: string(object)}
	o, err := p.begin()
	for err == nil {
		key, ok, err := p.next(&o)
		if err != nil || !ok {
			return
		}
		value, err := p.skip()
		if err != nil {
			return
		}
		f(key, value)
	}
}
