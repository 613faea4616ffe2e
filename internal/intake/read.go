package intake

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/tipmesh/tipmesh/internal/stix"
)

// Read recognises the kind of what r holds, and gives what can be shared and what cannot, with reasons. name is
// the file's name, for messages and for a hint of its kind. It reads at most MaxInput bytes. An error is an
// *InputError; an input without any value is none.
func Read(name string, r io.Reader) (*Batch, error) {
	data, err := readAll(name, r, MaxInput)
	if err != nil {
		return nil, err
	}
	if e := refusedKind(name, data); e != nil {
		return nil, e
	}
	text, e := decode(name, data)
	if e != nil {
		return nil, e
	}
	if looksLikeJSON(text) {
		return readSTIX(name, text)
	}
	if e := checkLines(name, text); e != nil {
		return nil, e
	}
	return readText(name, text, MaxValues)
}

// readAll reads up to limit bytes; a file that says it is larger is refused unread.
func readAll(name string, r io.Reader, limit int64) (string, error) {
	tooLarge := &InputError{File: name, Reason: "too_large", Hint: "split it",
		Text: fmt.Sprintf("more than %d MiB", limit>>20)}
	var b strings.Builder
	if f, ok := r.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			if info.Size() > limit {
				return "", tooLarge
			}
			b.Grow(int(info.Size()) + 1)
		}
	}
	if _, err := io.Copy(&b, io.LimitReader(r, limit+1)); err != nil {
		return "", &InputError{File: name, Reason: "malformed", Text: "read input: " + err.Error(), Err: err}
	}
	if int64(b.Len()) > limit {
		return "", tooLarge
	}
	return b.String(), nil
}

// magics are the beginnings of files that hold no text, and what to do about them.
var magics = []struct{ magic, kind, hint string }{
	{"\x1f\x8b", "a gzip file", "unpack it first"},
	{"\x28\xb5\x2f\xfd", "a zstd file", "unpack it first"},
	{"PK\x03\x04", "a zip file or office document", "unpack it, or save the document as text"},
	{"BZh", "a bzip2 file", "unpack it first"},
	{"\xfd7zXZ", "an xz file", "unpack it first"},
	{"%PDF-", "a PDF", "save it as text first, with pdftotext for one"},
	{"\x7fELF", "a program", "share its hash, not the file"},
	{"MZ\x90", "a program", "share its hash, not the file"},
}

// refusedKind tells the kinds that are known and not read.
func refusedKind(name, data string) error {
	for _, m := range magics {
		if strings.HasPrefix(data, m.magic) {
			return &InputError{File: name, Reason: "malformed", Text: "this is " + m.kind, Hint: m.hint}
		}
	}
	head := strings.ToLower(data[:min(len(data), 2048)])
	head = strings.TrimLeft(strings.TrimPrefix(head, "\xef\xbb\xbf"), " \t\r\n")
	switch {
	case strings.EqualFold(filepath.Ext(name), ".csv"):
		return &InputError{File: name, Reason: "malformed", Text: "CSV is not read yet",
			Hint: "give the column of values as a list, one a line"}
	case strings.HasPrefix(head, "<?xml"), strings.HasPrefix(head, "<ioc"), strings.HasPrefix(head, "<stix:"):
		return &InputError{File: name, Reason: "malformed", Text: "XML (OpenIOC, STIX 1) is not read",
			Hint: "export STIX 2.1, or give a list"}
	}
	return nil
}

// looksLikeJSON tells JSON from a text that happens to begin with a bracket, such as "[link](...)".
func looksLikeJSON(text string) bool {
	t := strings.TrimLeft(text[:min(len(text), 4096)], " \t\r\n")
	if strings.HasPrefix(t, "{") {
		rest := strings.TrimLeft(t[1:], " \t\r\n")
		return strings.HasPrefix(rest, "\"") || strings.HasPrefix(rest, "}")
	}
	if strings.HasPrefix(t, "[") {
		rest := strings.TrimLeft(t[1:], " \t\r\n")
		return strings.HasPrefix(rest, "{") || rest == "" || strings.TrimSpace(rest) == "]"
	}
	return false
}

func readSTIX(name, text string) (*Batch, error) {
	if keys := topKeys(text); keys["Event"] || keys["response"] || keys["Attribute"] {
		return nil, &InputError{File: name, Reason: "malformed", Text: "MISP events are not read yet",
			Hint: "export the event from MISP as STIX 2.1"}
	}
	objects, problems, err := stix.ParseBundle([]byte(text))
	if err != nil {
		return nil, &InputError{File: name, Reason: "malformed", Text: err.Error(), Err: err}
	}
	b := &Batch{Format: FormatSTIX21, Objects: objects, Found: map[string]int{}}
	for _, o := range objects {
		b.Found[o.Type]++
		if o.Upgraded {
			b.Format = FormatSTIX20
		}
	}
	for _, p := range problems {
		// stix tells faults apart more finely than the closed list of reasons does.
		reason := "malformed"
		switch p.Code {
		case stix.CodeRepeated, stix.CodeDuplicate:
			reason = "duplicate"
		case stix.CodeTooLarge:
			reason = "too_large"
		}
		b.LeftOut = append(b.LeftOut, LeftOut{Value: p.ID, Reason: reason, Text: strings.TrimPrefix(p.Path+": "+p.Text, ": "),
			Refused: p.Code != stix.CodeRepeated})
	}
	return b, nil
}
