package badger

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/storetest"
)

const killDir = "TIPMESH_STORE_KILL_DIR"

// TestKill kills a process that commits, several times over one folder, and
// checks that all it acknowledged is there, whole and without a hole.
func TestKill(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		commitForever(t, dir)
	}
	dir := t.TempDir()
	w := storetest.NewWriter("a")
	for round := range 4 {
		acked := killAfter(t, dir, 20+30*round)
		s, err := Open(Config{Dir: dir, Key: testKey, small: true})
		if err != nil {
			t.Fatal(err)
		}
		n := uint64(0)
		err = s.Range(w.Feed(), 1, func(e store.Entry) bool {
			n++
			if e.Header.Seq != n || !e.Header.Fits(e.Payload) {
				t.Errorf("round %d: entry %d is not whole", round, n)
			}
			return true
		})
		fd, _ := s.Feed(w.Feed())
		if err != nil || n < acked || fd.Head != n || s.LastArrival() != n || s.Index().Checkpoint() > n {
			t.Fatalf("round %d: %d entries of %d acknowledged, head %d, arrival %d, checkpoint %d: %v",
				round, n, acked, fd.Head, s.LastArrival(), s.Index().Checkpoint(), err)
		}
		for i := range s.Index().Checkpoint() {
			o := benchObjects(1, int(i))[0]
			if found, err := s.Index().ByValue(o.Values[0]); err != nil || len(found) != 1 {
				t.Fatalf("round %d: object %d below the checkpoint: %v %v", round, i, found, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter runs commitForever in a process, kills it after some
// acknowledgements and gives the last sequence number acknowledged.
func killAfter(t *testing.T, dir string, lines int) (acked uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(out)
	for n := 0; in.Scan(); n++ {
		if _, err := fmt.Sscanf(in.Text(), "acknowledged %d", &acked); err != nil {
			t.Errorf("the process says %q", in.Text())
		}
		if n == lines {
			cmd.Process.Kill() // what it wrote before still arrives
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the process ended by itself")
	}
	return acked
}

func commitForever(t *testing.T, dir string) {
	s, err := Open(Config{Dir: dir, Key: testKey, small: true})
	if err != nil {
		t.Fatal(err)
	}
	w := storetest.NewWriter("a")
	fd, _ := s.Feed(w.Feed())
	for range fd.Head { // the writer is the same every time: catch up with it
		w.Next(killPayload)
	}
	for {
		c := new(store.Commit)
		for range 5 {
			e := w.Next(killPayload)
			c.Entries, c.Readable = append(c.Entries, e), append(c.Readable, w.At(e.Header.Seq))
		}
		last := storetest.Commit(t, s, c)
		fmt.Println("acknowledged", c.Entries[4].Header.Seq)
		// From the checkpoint on: the process before may have died in between.
		from := s.Index().Checkpoint()
		if err := s.Index().Put(&store.IndexBatch{Objects: benchObjects(int(last-from), int(from)), Checkpoint: last}); err != nil {
			t.Fatal(err)
		}
	}
}

var killPayload = storetest.Payload(1, 20_000)

// TestKilledWhileMaking opens a folder in which a process died just after it had
// made a log, before that had its length.
func TestKilledWhileMaking(t *testing.T) {
	for _, name := range []string{"000099.vlog", "00099.mem", "000001.vlog", "00001.mem"} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			for _, db := range []string{"entries", "index"} {
				path := filepath.Join(dir, db, name)
				if _, err := os.Stat(path); err == nil {
					continue // one that is in use
				}
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, err := Open(Config{Dir: dir, Key: testKey, small: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if s.LastArrival() != 400 || s.Index().Checkpoint() != 400 {
				t.Errorf("arrival %d, checkpoint %d", s.LastArrival(), s.Index().Checkpoint())
			}
		})
	}
}
