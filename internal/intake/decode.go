package intake

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// decode gives the text of an input in UTF-8, or in UTF-16 with a byte order mark. Anything else is an error
// that names line and byte: to guess an encoding is to guess names.
func decode(name, data string) (string, error) {
	switch {
	case len(data) >= 3 && data[:3] == "\xef\xbb\xbf":
		data = data[3:]
	case len(data) >= 2 && data[0] == 0xff && data[1] == 0xfe:
		return decodeUTF16(name, data[2:], binary.LittleEndian)
	case len(data) >= 2 && data[0] == 0xfe && data[1] == 0xff:
		return decodeUTF16(name, data[2:], binary.BigEndian)
	}
	text := data
	if at := badByte(text); at >= 0 {
		e := &InputError{File: name, Line: 1 + strings.Count(text[:at], "\n"), Reason: "malformed",
			Text: fmt.Sprintf("byte %d is not UTF-8", at+1), Hint: "save it as UTF-8"}
		if text[at] == 0 {
			e.Text, e.Hint = fmt.Sprintf("byte %d is zero: this is not text", at+1), "share its hash, or its text"
		}
		return "", e
	}
	return text, nil
}

// badByte gives the offset of the first byte that is zero or not UTF-8, or -1.
func badByte(text string) int {
	zero := strings.IndexByte(text, 0)
	if utf8.ValidString(text) {
		return zero
	}
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") || i == zero {
			return i
		}
	}
	return zero
}

func decodeUTF16(name, data string, order binary.ByteOrder) (string, error) {
	if len(data)%2 != 0 {
		return "", &InputError{File: name, Reason: "malformed", Text: "UTF-16 with half a character at its end",
			Hint: "save it as UTF-8"}
	}
	var b strings.Builder
	b.Grow(len(data) / 2)
	line := 1
	for i := 0; i < len(data); i += 2 {
		r := rune(unit(data, i, order))
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if i+3 < len(data) {
				low = rune(unit(data, i+2, order))
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return "", &InputError{File: name, Line: line, Reason: "malformed",
					Text: fmt.Sprintf("byte %d is not UTF-16", i+3), Hint: "save it as UTF-8"}
			}
			i += 2
		}
		if r == 0 {
			return "", &InputError{File: name, Line: line, Reason: "malformed",
				Text: fmt.Sprintf("byte %d is zero: this is not text", i+3)}
		}
		if r == '\n' {
			line++
		}
		b.WriteRune(r)
	}
	return b.String(), nil
}

func unit(s string, i int, order binary.ByteOrder) uint16 {
	return order.Uint16([]byte{s[i], s[i+1]})
}

// checkLines holds the input against MaxLine.
func checkLines(name, text string) error {
	for n := 1; len(text) > 0; n++ {
		i := strings.IndexByte(text, '\n')
		if i < 0 {
			i = len(text)
		}
		if i > MaxLine {
			return &InputError{File: name, Line: n, Reason: "too_large",
				Text: fmt.Sprintf("a line of more than %d MiB", MaxLine>>20)}
		}
		text = text[min(i+1, len(text)):]
	}
	return nil
}

// topKeys gives the keys of a JSON object, as far as it can be read; what follows the first broken value is not
// seen.
func topKeys(text string) map[string]bool {
	keys := map[string]bool{}
	dec := json.NewDecoder(strings.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return keys
	}
	// The first key tells MISP's events; to read past a value is to read it whole, so it stops at that.
	for range 3 {
		t, err := dec.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			break
		}
		keys[key] = true
		if t, err = dec.Token(); err != nil {
			break
		}
		if _, nested := t.(json.Delim); nested {
			break
		}
	}
	return keys
}
