package node

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/store"
)

// appendLetter seals a letter of the parts (see protocol.NewLetter) to the age
// recipients and makes it durable in this node's direct feed, together with the
// settings. The caller holds the writer lock and announces the entries.
func (n *Node) appendLetter(recipients []string, settings map[string][]byte, parts ...any) ([]store.Entry, error) {
	payload, err := seal.Direct(protocol.NewLetter(parts...), recipients)
	if err != nil {
		return nil, err
	}
	return n.appendOwn(protocol.EntryDirect, nil, [][]byte{payload}, settings, lettersKept(parts))
}

// readDirect opens a direct entry with one of the identities, without any with
// those of this member and node, and does what the letter in it says.
func (n *Node) readDirect(e store.Entry, ids ...*seal.Identity) {
	if len(ids) == 0 {
		ids = n.openers()
	}
	plain, err := seal.OpenDirect(e.Payload, ids...)
	if errors.Is(err, seal.ErrNotForUs) {
		return
	}
	var letter *protocol.Letter
	if err == nil {
		letter, err = protocol.ParseLetter(plain)
	}
	if err != nil {
		n.refused.add(ReasonMalformed, 1)
		n.log.Warn("direct entry refused", "node", e.Header.Node.Short(), "seq", e.Header.Seq, "err", err)
		return
	}
	n.readLetter(e.Header, letter)
}

// readLetter does what a letter says, as far as its writer may say it. A letter
// may be read more than once.
func (n *Node) readLetter(h *protocol.Header, l *protocol.Letter) {
	n.takeOwn(h, l.Owns())
	n.hearGroups(h, l)
	n.keepEpochs(l.Epochs())
	n.takeReceipts(h, l.Receipts())
}

// readDirectFeeds reads direct entries that were stored but, because the node
// stopped in between, perhaps not read.
func (n *Node) readDirectFeeds() error {
	for _, f := range n.store.Feeds() {
		if f.Kind != protocol.EntryDirect || f.Node == n.key {
			continue
		}
		from, name := uint64(1), directPrefix+f.ID.String()
		if raw, err := n.store.Setting(name); err == nil && len(raw) == 8 {
			from = binary.BigEndian.Uint64(raw) + 1
		}
		if from > f.Head {
			continue
		}
		unkept := n.unkept.Load()
		for seq := from; seq <= f.Head; seq++ {
			e, err := n.store.Entry(store.Place{Feed: f.ID, Seq: seq})
			if err != nil {
				return fmt.Errorf("read direct feed: %w", err)
			}
			if e.Payload != nil {
				n.readDirect(e)
			}
		}
		if n.unkept.Load() > unkept {
			continue // such as for lack of room: read it again at the next start
		}
		at := binary.BigEndian.AppendUint64(nil, f.Head)
		if _, err := n.store.Commit(n.ctx, &store.Commit{Settings: map[string][]byte{name: at}}); err != nil {
			return fmt.Errorf("read direct feed: %w", err)
		}
	}
	return nil
}

// unsealEpochs opens what a neighbour handed over.
func (n *Node) unsealEpochs(from protocol.Key, sealed []byte) {
	plain, err := seal.OpenDirect(sealed, n.openers()...)
	if err != nil {
		n.refused.add(ReasonMalformed, 1)
		return
	}
	letter, err := protocol.ParseLetter(plain)
	if err != nil {
		n.refused.add(ReasonMalformed, 1)
		return
	}
	// Of a letter that no entry carries only what is signed counts. Its states are
	// in no feed of their signers: see toldState.
	epochs, before := letter.Epochs(), n.keys.held()
	fresh := n.hearStates(from, letter.States())
	n.keepEpochs(epochs)
	if fresh || len(epochs) == protocol.MaxGrantEpochs && n.keys.held() > before {
		n.keys.more.Store(true)
		poke(n.keys.ask)
	}
}
