package seal

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// buildAge builds the stock age command of the module we require, inside that
// module, whose own go.sum names what the command needs beyond the library.
func buildAge(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a command")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command")
	}
	dir := strings.TrimSpace(string(run(t, nil, tool, "list", "-m", "-f", "{{.Dir}}", "filippo.io/age")))
	bin := filepath.Join(t.TempDir(), "age")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	run(t, nil, tool, "build", "-C", dir, "-o", bin, "./cmd/age")
	return bin
}

func run(t *testing.T, in []byte, name string, args ...string) []byte {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, errs.Bytes())
	}
	return out.Bytes()
}

func checkBundle(t *testing.T, what string, got, want []byte) {
	t.Helper()
	var b struct {
		Type    string            `json:"type"`
		Objects []json.RawMessage `json:"objects"`
	}
	if err := json.Unmarshal(got, &b); err != nil || b.Type != "bundle" || len(b.Objects) == 0 || !bytes.Equal(got, want) {
		t.Errorf("%s gives %.60q, %v", what, got, err)
	}
}

// TestStockTools opens sealed payloads with age and zstd alone, and opens what
// they make.
func TestStockTools(t *testing.T) {
	age := buildAge(t)
	id := newIdentity(t)
	file := filepath.Join(t.TempDir(), "epoch.txt")
	if err := os.WriteFile(file, []byte("# an epoch\n"+id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := sample(200_000)
	direct := must(Direct(plain, []string{newIdentity(t).Recipient(), id.Recipient(), newIdentity(t).Recipient()}))
	for what, payload := range map[string][]byte{"bundle": must(Bundle(plain, id)), "direct": direct} {
		inner := run(t, payload, age, "-d", "-i", file)
		r, err := zstd.NewReader(bytes.NewReader(inner))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		checkBundle(t, what+": a zstd reader", got, plain)
		if zstd, err := exec.LookPath("zstd"); err == nil {
			checkBundle(t, what+": zstd -d", run(t, inner, zstd, "-d", "-c"), plain)
			run(t, inner, zstd, "-t")
		}
	}
	made := run(t, must(frame(plain)), age, "-r", id.Recipient())
	got, err := OpenBundle(made, id)
	if err != nil {
		t.Fatal(err)
	}
	checkBundle(t, "age -r", got, plain)
	stockZstd(t, id, plain)
}

// stockZstd opens what the zstd command compressed and we padded.
func stockZstd(t *testing.T, id *Identity, plain []byte) {
	t.Helper()
	tool, err := exec.LookPath("zstd")
	if err != nil {
		t.Log("no zstd command: its half of the test is left out")
		return
	}
	file := filepath.Join(t.TempDir(), "bundle.json")
	if err := os.WriteFile(file, plain, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, level := range []string{"-1", "-19"} {
		body := run(t, nil, tool, "-c", level, file)
		got, err := OpenBundle(must(encrypt(pad(body), id.recipient)), id)
		if err != nil {
			t.Fatalf("zstd %s: %v", level, err)
		}
		checkBundle(t, "zstd "+level, got, plain)
	}
}
