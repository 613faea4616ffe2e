package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/protocol"
)

// SigningOptions are the flags of commands that sign with the member key. The key
// is read by this process and never sent to the node.
type SigningOptions struct {
	KeyFile  string
	Unsigned string
}

func (o *SigningOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.KeyFile, "key-file", "", "member key, where it is not kept in the home")
	f.StringVar(&o.Unsigned, "unsigned", "", "write what is to be signed to this `file`, sign nothing")
}

// elsewhere reports whether the node must not sign with a key of its own.
func (o *SigningOptions) elsewhere() bool { return o.KeyFile != "" || o.Unsigned != "" }

// check refuses flags that contradict each other, before anything is asked.
func (o *SigningOptions) check() error {
	if o.KeyFile != "" && o.Unsigned != "" {
		return fail(api.CodeInvalid, "", "--key-file signs, --unsigned does not: give one")
	}
	return nil
}

// sign has a call prepared, and signs it with the key file or writes it to the file
// for what is unsigned. done is false where it is only written.
func (o *SigningOptions) sign(ctx context.Context, gopts *GlobalOptions, c *api.Client, method, path string, question any) (p *api.Prepared, done bool, err error) {
	if err := o.check(); err != nil {
		return nil, false, err
	}
	var key ed25519.PrivateKey
	if o.KeyFile != "" {
		if key, err = gopts.memberKey(o.KeyFile); err != nil {
			return nil, false, err
		}
	}
	if p, err = c.Prepare(ctx, method, path, question); err != nil {
		return nil, false, err
	}
	if key == nil {
		return p, false, o.write(gopts, p)
	}
	return p, true, bring(ctx, c, p, key)
}

// bring signs what was prepared and takes it to the node.
func bring(ctx context.Context, c *api.Client, p *api.Prepared, key ed25519.PrivateKey) error {
	list := make([][]byte, 0, len(p.Unsigned)+len(p.With))
	for _, u := range p.Unsigned {
		s, err := protocol.Unsigned(u).Sign(key)
		if errors.Is(err, protocol.ErrSignature) {
			return fail(api.CodeDenied, "give the present member key; tipmesh card show tells which it is", "%v", err)
		} else if err != nil {
			return err
		}
		list = append(list, s.Raw())
	}
	_, err := c.Statements(ctx, append(list, p.With...))
	return err
}

// memberKey reads a member key file.
func (g *GlobalOptions) memberKey(path string) (ed25519.PrivateKey, error) {
	pass, err := g.passphrase()
	if err != nil {
		return nil, err
	}
	key, err := keyring.LoadMember(path, pass)
	switch {
	case errors.Is(err, keyring.ErrNoMemberKey):
		return nil, fail(api.CodeInvalid, "", "%v", err)
	case errors.Is(err, keyring.ErrTooOpen), errors.Is(err, keyring.ErrDamaged):
		return nil, fail(api.CodeInvalid, "", "%v", err)
	}
	return key, err
}

// The lines of a file of statements to sign.
const (
	unsignedComment = "# tipmesh: to sign where the key is: tipmesh card sign FILE --key-file KEY --out SIGNED"
	unsignedLine    = "unsigned: "
	signedLine      = "signed: " // goes with them, signed already
	maxUnsigned     = 8 << 20
)

// unsignedJSON tells that a file was written instead of doing anything.
type unsignedJSON struct {
	Kind string   `json:"kind"` // unsigned
	Out  string   `json:"out"`
	IDs  []string `json:"ids"`
}

// unsignedFile is a file of statements to sign, and of signed ones that go along.
func unsignedFile[U, S ~[]byte](unsigned []U, with []S) []byte {
	var b bytes.Buffer
	b.WriteString(unsignedComment + "\n")
	for _, u := range unsigned {
		b.WriteString(unsignedLine + base64.StdEncoding.EncodeToString(u) + "\n")
	}
	for _, s := range with {
		b.WriteString(signedLine + base64.StdEncoding.EncodeToString(s) + "\n")
	}
	return b.Bytes()
}

func (o *SigningOptions) write(gopts *GlobalOptions, p *api.Prepared) error {
	if err := writeNew(o.Unsigned, unsignedFile(p.Unsigned, p.With)); err != nil {
		return err
	}
	if gopts.JSON {
		return gopts.print(unsignedJSON{Kind: "unsigned", Out: o.Unsigned, IDs: p.IDs})
	}
	gopts.sayf("Wrote %s; nothing is signed yet. Where the key is:", o.Unsigned)
	gopts.sayf("  tipmesh card sign %s --key-file KEY --out SIGNED", o.Unsigned)
	gopts.sayf("and back here:  tipmesh carry in SIGNED")
	return nil
}

// openNew makes a file that others cannot read and that is not there yet.
func openNew(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304 -- the operator named it
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, fail(api.CodeConflict, "give another name, or move it away", "%s is there already", path)
	case err != nil:
		return nil, fail(api.CodeInvalid, "", "%v", err)
	}
	return f, nil
}

// writeNew writes a file that others cannot read and that is not there yet.
func writeNew(path string, data []byte) error {
	f, err := openNew(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fail(api.CodeInvalid, "", "write %s: %v", path, err)
	}
	return nil
}

// readUnsigned reads a file of statements to sign.
func readUnsigned(path string) (list []protocol.Unsigned, with []*protocol.Statement, err error) {
	raw, err := readBounded(path, maxUnsigned)
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if text, ok := strings.CutPrefix(line, unsignedLine); ok {
			u, err := base64.StdEncoding.DecodeString(text)
			if err == nil {
				_, err = protocol.Unsigned(u).Read()
			}
			if err != nil {
				return nil, nil, fail(api.CodeInvalid, "", "%s: %v", path, err)
			}
			list = append(list, u)
			continue
		}
		text, ok := strings.CutPrefix(line, signedLine)
		s, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil {
			return nil, nil, fail(api.CodeInvalid, "any command that signs makes one, with --unsigned FILE", "%s holds no statements to sign", path)
		}
		x, err := protocol.ParseStatement(s)
		if err != nil {
			return nil, nil, fail(api.CodeInvalid, "", "%s: %v", path, err)
		}
		with = append(with, x)
	}
	if len(list) == 0 {
		return nil, nil, fail(api.CodeInvalid, "any command that signs makes one, with --unsigned FILE", "%s holds no statements to sign", path)
	}
	return list, with, nil
}

func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator named it
	if err != nil {
		return nil, fail(api.CodeInvalid, "", "%v", err)
	}
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fail(api.CodeInvalid, "", "%v", err)
	}
	if int64(len(raw)) > most {
		return nil, fail(api.CodeInvalid, "", "%s is larger than %d bytes", path, most)
	}
	return raw, nil
}

// short is a key as a person compares it.
func short(k protocol.Key) string { return fmt.Sprintf("%.16s", k.String()) }
