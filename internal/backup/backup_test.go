package backup

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/tipmesh/tipmesh/protocol"
)

func manifest() *Manifest {
	return &Manifest{Mesh: protocol.MeshID{1}, MeshName: "Harbour", Member: protocol.MemberID{2}, Node: protocol.Key{3},
		Time: time.UnixMilli(1e12).UTC(), Locked: true, MemberAge: []string{"AGE-SECRET-KEY-PQ-1X"}, MemberKey: []byte{4}}
}

// A backup can be read back once by whoever wrote it, and by its owner.
func TestChecked(t *testing.T) {
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		lock  Lock
		owner Key
	}{
		{Lock{Recipient: hybrid.Recipient().String()}, Key{Identities: []byte(hybrid.String())}},
		{Lock{Recipient: plain.Recipient().String() + "\n"}, Key{Identities: []byte(plain.String())}},
		{Lock{Passphrase: []byte("x"), work: 10}, Key{Passphrase: []byte("x")}},
	} {
		lock, once, err := c.lock.Checked()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := Write(&out, lock, manifest(), strings.NewReader("store")); err != nil {
			t.Fatal(err)
		}
		for _, key := range []Key{once, c.owner} {
			if _, rest, err := Open(bytes.NewReader(out.Bytes()), key); err != nil {
				t.Error(err)
			} else if text, err := io.ReadAll(rest); err != nil || string(text) != "store" {
				t.Errorf("%q %v", text, err)
			}
		}
	}
}

// What is written comes back, with the passphrase or identity and with no other;
// nothing of it is readable without.
func TestRoundTrip(t *testing.T) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	pass := Lock{Passphrase: []byte("correct horse"), work: 10}
	for _, c := range []struct {
		name       string
		lock       Lock
		key, wrong Key
		passphrase bool
	}{
		{"passphrase", pass, Key{Passphrase: pass.Passphrase}, Key{Passphrase: []byte("wrong")}, true},
		{"recipient", Lock{Recipient: id.Recipient().String()}, Key{Identities: []byte(id.String())}, Key{Identities: []byte(other.String())}, false},
		{"identity where a passphrase is wanted", pass, Key{Passphrase: pass.Passphrase}, Key{Identities: []byte(id.String())}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := Write(&out, c.lock, manifest(), strings.NewReader("the store's canary")); err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(out.Bytes(), []byte("canary")) || bytes.Contains(out.Bytes(), []byte("Harbour")) {
				t.Error("readable without a key")
			}
			if by, err := Locked(out.Bytes()); err != nil || by != c.passphrase {
				t.Errorf("locked by passphrase: %v, %v", by, err)
			}
			got, rest, err := Open(bytes.NewReader(out.Bytes()), c.key)
			if err != nil {
				t.Fatal(err)
			}
			want := manifest()
			want.Version = version
			text, err := io.ReadAll(rest)
			if err != nil || string(text) != "the store's canary" || !reflect.DeepEqual(got, want) {
				t.Errorf("%+v %q %v", got, text, err)
			}
			if _, _, err := Open(bytes.NewReader(out.Bytes()), c.wrong); !errors.Is(err, ErrLocked) {
				t.Errorf("opened with another key: %v", err)
			}
			cut := out.Bytes()[:out.Len()-1]
			if _, rest, err := Open(bytes.NewReader(cut), c.key); err == nil {
				if _, err = io.ReadAll(rest); err == nil {
					t.Error("a cut file reads to its end")
				}
			}
		})
	}
}

func TestOtherFiles(t *testing.T) {
	if _, _, err := Open(strings.NewReader("hello"), Key{Passphrase: []byte("x")}); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte("somebody's love letters "), 9)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(&out, Key{Identities: []byte(id.String())}); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	for _, l := range []Lock{{}, {Recipient: "age1nothing"}} {
		if l.Check() == nil {
			t.Errorf("%+v is accepted", l)
		}
	}
}
