package keyring

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tipmesh/tipmesh/protocol/seal"
)

func TestMain(m *testing.M) {
	workFactor = 4
	os.Exit(m.Run())
}

func create(t *testing.T, pass []byte) (dir string, k *Keys, member, next ed25519.PrivateKey) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "home")
	k, member, next, err := Create(dir, pass)
	if err != nil {
		t.Fatal(err)
	}
	return dir, k, member, next
}

func TestCreateAndLoad(t *testing.T) {
	for name, pass := range map[string][]byte{"open": nil, "locked": []byte("correct horse")} {
		t.Run(name, func(t *testing.T) {
			dir, k, member, next := create(t, pass)
			again, err := Load(dir, pass)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(formatKeys(again), formatKeys(k)) {
				t.Error("other keys come back")
			}
			for file, want := range map[string]ed25519.PrivateKey{MemberFile: member, NextMemberFile: next} {
				got, err := LoadMember(filepath.Join(dir, file), pass)
				if err != nil || !got.Equal(want) {
					t.Errorf("%s: %v", file, err)
				}
			}
			if member.Equal(next) || member.Equal(k.Node) {
				t.Error("two keys are one")
			}
			checkFolder(t, dir, pass != nil)
		})
	}
}

// checkFolder sees that three files of mode 0600 are there, nothing else, and
// nothing legible in them if they are locked.
func checkFolder(t *testing.T, dir string, locked bool) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 3 {
		t.Errorf("%d files, want 3: %v", len(list), err)
	}
	for _, e := range list {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", e.Name(), info.Mode().Perm())
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if locked == bytes.Contains(data, []byte("# secret")) {
			t.Errorf("%s: locked %v, but it reads %.40q", e.Name(), locked, data)
		}
	}
}

func TestCreateOverwritesNothing(t *testing.T) {
	for _, name := range []string{NodeFile, MemberFile, NextMemberFile} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := Create(dir, nil); !errors.Is(err, ErrExists) {
			t.Errorf("%s: %v", name, err)
		}
		if data, _ := os.ReadFile(path); string(data) != "mine" {
			t.Errorf("%s was overwritten", name)
		}
		if list, _ := os.ReadDir(dir); len(list) != 1 {
			t.Errorf("%s: %d files are left", name, len(list))
		}
		if err := writeFile(path, []byte("theirs"), nil, false); !errors.Is(err, ErrExists) {
			t.Errorf("write over %s: %v", name, err)
		}
	}
}

func TestPassphrase(t *testing.T) {
	dir, _, _, _ := create(t, []byte("right"))
	for pass, want := range map[string]error{"": ErrNeedsPassphrase, "wrong": ErrWrongPassphrase} {
		if _, err := Load(dir, []byte(pass)); !errors.Is(err, want) {
			t.Errorf("%q: %v", pass, err)
		}
		if _, err := LoadMember(filepath.Join(dir, MemberFile), []byte(pass)); !errors.Is(err, want) {
			t.Errorf("%q: %v", pass, err)
		}
	}
	if _, _, _, err := Create(filepath.Join(t.TempDir(), "new"), []byte{}); err == nil {
		t.Error("an empty passphrase was taken for none or for one")
	}
	plain, k, _, _ := create(t, nil)
	if got, err := Load(plain, []byte("needless")); err != nil || !got.Node.Equal(k.Node) {
		t.Errorf("a passphrase for an open file: %v", err)
	}
}

func TestLockedFileDamaged(t *testing.T) {
	pass := []byte("right")
	dir, _, _, _ := create(t, pass)
	path := filepath.Join(dir, NodeFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"cut short": data[:len(data)/2], "appended": append(bytes.Clone(data), "more"...),
		"changed": append(append(bytes.Clone(data[:len(data)-60]), 'A'^data[len(data)-60]&1), data[len(data)-59:]...),
	} {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir, pass); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTooOpen(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no mode bits")
	}
	dir, _, _, _ := create(t, nil)
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o601} {
		for _, name := range []string{NodeFile, MemberFile} {
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Load(dir, nil)
		_, err2 := LoadMember(filepath.Join(dir, MemberFile), nil)
		for _, err := range []error{err, err2} {
			if !errors.Is(err, ErrTooOpen) || !strings.Contains(err.Error(), "chmod 600") {
				t.Errorf("mode %o: %v", mode, err)
			}
		}
	}
}

func TestAbsent(t *testing.T) {
	if _, err := LoadMember(filepath.Join(t.TempDir(), MemberFile), nil); !errors.Is(err, ErrNoMemberKey) {
		t.Errorf("member key: %v", err)
	}
	if _, err := Load(t.TempDir(), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("node key: %v", err)
	}
}

func TestSave(t *testing.T) {
	pass := []byte("right")
	dir, k, member, _ := create(t, pass)
	id, err := seal.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	k.MemberAge = append(k.MemberAge, id)
	if err := k.Save(dir, pass); err != nil {
		t.Fatal(err)
	}
	again, err := Load(dir, pass)
	if err != nil || len(again.MemberAge) != 2 || again.Current().String() != id.String() {
		t.Fatalf("after a new age identity: %v", err)
	}
	if err := new(Keys).Save(dir, pass); err == nil {
		t.Error("no keys were saved")
	}
	path := filepath.Join(dir, MemberFile)
	if err := SaveMember(path, k.Node, pass, false); !errors.Is(err, ErrExists) {
		t.Errorf("member key overwritten: %v", err)
	}
	if err := SaveMember(path, k.Node, nil, true); err != nil {
		t.Error(err)
	}
	if got, err := LoadMember(path, nil); err != nil || !got.Equal(k.Node) || got.Equal(member) {
		t.Errorf("after replacing: %v", err)
	}
	if err := SaveMember(path, nil, nil, true); err == nil {
		t.Error("no key was saved")
	}
	checkNewNode(t, again.MemberAge)
}

func checkNewNode(t *testing.T, ages []*seal.Identity) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "second")
	k, err := NewNode(dir, ages, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(dir, nil)
	if err != nil || !again.Node.Equal(k.Node) || len(again.MemberAge) != 2 {
		t.Errorf("second node: %v", err)
	}
	if _, err := NewNode(dir, ages, nil); !errors.Is(err, ErrExists) {
		t.Errorf("second node again: %v", err)
	}
}

func TestDamagedNamesTheLineAndHidesTheKey(t *testing.T) {
	dir, k, _, _ := create(t, nil)
	good := string(formatKeys(k))
	seed := hex.EncodeToString(k.Node.Seed())
	age := k.NodeAge.String()
	for name, c := range map[string]struct{ text, says string }{
		"line without name":  {strings.Replace(good, "node: "+seed, seed, 1), "line 2"},
		"seed as name":       {strings.Replace(good, "node: "+seed, seed+":", 1), "line 2"},
		"short seed":         {strings.Replace(good, seed, seed[2:], 1), "line 2: node: want 64"},
		"not hexadecimal":    {strings.Replace(good, seed, "xyz"+seed[3:], 1), "line 2"},
		"damaged age":        {strings.Replace(good, age, age[:len(age)-1], 1), "line 3: node-age"},
		"changed age":        {strings.Replace(good, age, strings.Repeat("Q", len(age)), 1), "line 3"},
		"repeated":           {good + "store: " + seed + "\n", "line 6 repeats store"},
		"unknown":            {good + "colour: blue\n", "line 6"},
		"store gone":         {good[:strings.Index(good, "store:")], "\"store:\""},
		"nothing":            {"", "\"node:\""},
		"a member key":       {string(formatMember(k.Node)), "line 2"},
		"longer than may be": {good + strings.Repeat("#", maxFile), "at most"},
	} {
		if err := os.WriteFile(filepath.Join(dir, NodeFile), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(dir, nil)
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if err != nil && (strings.Contains(err.Error(), seed[4:12]) || strings.Contains(err.Error(), age[20:28])) {
			t.Errorf("%s: the error shows a key: %v", name, err)
		}
	}
	if _, err := LoadMember(filepath.Join(dir, NextMemberFile), nil); err != nil {
		t.Error(err)
	}
	text := "\r\n# a note\r\n" + strings.ReplaceAll(good, "\n", "\r\n")
	if _, err := parseKeys([]byte(text)); err != nil {
		t.Errorf("a file that went through an editor: %v", err)
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	_, k, _, _ := create(t, nil)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "keys", k)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "keys", k)
	out := log.String() + fmt.Sprintf("%v %+v %#v %s %x %d", k, k, k, k, k, k) + fmt.Sprint((*Keys)(nil), &Keys{})
	for _, secret := range []string{hex.EncodeToString(k.Node.Seed())[:12], "SECRET", hex.EncodeToString(k.Store)[:12], fmt.Sprint(k.Store[:6])[1:]} {
		if strings.Contains(out, strings.TrimSuffix(secret, "]")) {
			t.Errorf("printed: %s", out)
		}
	}
}

// FuzzParse checks that whatever is taken comes back from its own text, and that
// no error shows more than a name of ours.
func FuzzParse(f *testing.F) {
	k, err := newKeys()
	if err != nil {
		f.Fatal(err)
	}
	good := formatKeys(k)
	f.Add(good)
	f.Add(formatMember(k.Node))
	f.Add(append(bytes.Clone(good), good...))
	f.Add([]byte("node:\nnode-age:\nmember-age: x\nstore: 00"))
	f.Add([]byte(armorLike))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parseKeys(text)
		if err == nil {
			again, err := parseKeys(formatKeys(k))
			if err != nil || !bytes.Equal(formatKeys(again), formatKeys(k)) || k.complete() != nil {
				t.Fatalf("does not come back: %v", err)
			}
		} else if !errors.Is(err, ErrDamaged) {
			t.Fatalf("an error of another kind: %v", err)
		}
		if key, err := parseMember(text); err == nil {
			if again, err := parseMember(formatMember(key)); err != nil || !again.Equal(key) {
				t.Fatalf("member key does not come back: %v", err)
			}
		}
	})
}

const armorLike = "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n"
