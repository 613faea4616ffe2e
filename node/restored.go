package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// A home that was restored from a backup has a node key of its own. What its
// member's old node wrote since the backup comes from the neighbours; when it is
// here, a card retires the old node with cuts where its feeds end.
const (
	restoredSetting  = "restored"             // the old node's key, until that is retired
	restoredLook     = 200 * time.Millisecond // between looks, until others were heard,
	restoredLater    = time.Second            // and from then on
	restoredPatience = 10 * time.Minute       // for nodes that cannot be reached: what only they hold of the old node's is cut off
)

// Copy writes the entries database as it is now, for a backup. It fails where the
// store cannot be copied.
func (n *Node) Copy(ctx context.Context, w io.Writer) error {
	c, ok := n.store.(store.Copier)
	if !ok {
		return errors.New("copy store: this store cannot be copied")
	}
	return c.Copy(ctx, w)
}

// Adopt makes a store that is a copy of the old node's fit for another node: what
// only the old one may go on with is taken away, such as its feeds and open
// tickets.
func Adopt(ctx context.Context, s store.Entries, old protocol.Key) error {
	c := &store.Commit{Settings: map[string][]byte{restoredSetting: old[:], haltSetting: nil, joinSetting: nil}}
	for _, prefix := range []string{ownFeed, ticketPrefix} {
		err := s.Settings(prefix, func(name string, _ []byte) error {
			c.Settings[name] = nil
			return nil
		})
		if err != nil {
			return fmt.Errorf("adopt store: %w", err)
		}
	}
	if _, err := s.Commit(ctx, c); err != nil {
		return fmt.Errorf("adopt store: %w", err)
	}
	return nil
}

// Restored gives the node that this home was restored from, as long as it is not
// retired.
func (n *Node) Restored() (old protocol.Key, ok bool) {
	raw, err := n.store.Setting(restoredSetting)
	if err != nil || len(raw) != len(old) {
		return old, false
	}
	return protocol.Key(raw), true
}

// doors are the nodes that a restored node tries until a card names it: whoever
// has that card lets it in, and gives it the card.
func (n *Node) doors(all []protocol.Key) []protocol.Key {
	if _, ok := n.Restored(); !ok || !n.active() {
		return nil
	}
	return all[:min(len(all), allLinks)]
}

// finishRestore retires the old node once all that it wrote is here. Without the
// member key it waits until a card does.
func (n *Node) finishRestore() {
	old, ok := n.Restored()
	if !ok {
		return
	}
	began, inStep := n.now(), time.Time{}
	for {
		if n.retired(old) {
			if _, err := n.store.Commit(n.ctx, &store.Commit{Settings: map[string][]byte{restoredSetting: nil}}); err != nil {
				n.log.Error("keep that the old node is retired", "err", err)
			}
			n.log.Info("the node of before the restore is retired", "node", old.Short())
			n.pulse.beat()
			return
		}
		key := n.memberKey() != nil
		if (key || !n.heard.Load()) && n.gathered(old, began, &inStep) && key && n.mayWrite() == nil {
			if _, err := n.SetCard(n.Retires(old)); err != nil {
				n.log.Error("retire the node of before the restore", "node", old.Short(), "err", err)
			}
		}
		wait := restoredLook
		if n.heard.Load() {
			wait = restoredLater
		}
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// gathered reports whether everything that the others hold is here, as they said
// it since began: of all of them, or, after a while, of those that are reached.
func (n *Node) gathered(old protocol.Key, began time.Time, inStep *time.Time) bool {
	s := n.Status(began)
	others := slices.DeleteFunc(s.Peers, func(p Peer) bool { return p.Node == old })
	if len(others) == 0 {
		n.noteHeard()
		return true // nobody else can hold anything
	}
	if !s.InStep {
		*inStep = time.Time{}
		return false
	}
	n.noteHeard()
	if inStep.IsZero() {
		*inStep = n.now()
	}
	all := !slices.ContainsFunc(others, func(p Peer) bool { return !p.Up })
	return all || n.now().Sub(*inStep) >= restoredPatience
}

// noteHeard notes that others have told what there is.
func (n *Node) noteHeard() {
	if n.heard.CompareAndSwap(false, true) {
		n.pulse.beat()
	}
}

// awaitOthers gives others a while to tell a restored node what there is.
func (n *Node) awaitOthers(ctx context.Context) error {
	if _, named := n.Roster().ByNode(n.key); !named || n.heardSince() == nil {
		return nil
	}
	soon, cancel := context.WithTimeout(ctx, ownMost)
	defer cancel()
	err := n.until(soon, func() bool { return n.heardSince() == nil })
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil // mayWrite says why it is still not to be
	}
	return err
}

// heardSince says why a restored node must not write yet: what it knows of who is
// in is as old as its backup, until another node has told it what there is.
func (n *Node) heardSince() error {
	if _, ok := n.Restored(); ok && !n.heard.Load() {
		return fmt.Errorf("%w: it was restored from a backup and has not heard from the others since", ErrStopped)
	}
	return nil
}

// retired reports whether the member's card no longer has the node among those
// that may act.
func (n *Node) retired(node protocol.Key) bool {
	m, ok := n.Roster().Member(n.cfg.Member)
	return ok && !slices.ContainsFunc(m.Card.Nodes, func(c protocol.CardNode) bool { return c.Key == node })
}

// restoredAlert says what is still to be done after a restore; empty where
// nothing is.
func (n *Node) restoredAlert() string {
	old, ok := n.Restored()
	m, in := n.Roster().Member(n.cfg.Member)
	if !in {
		return ""
	}
	named := slices.ContainsFunc(m.Card.Nodes, func(c protocol.CardNode) bool { return c.Key == n.key })
	var b strings.Builder
	switch {
	case !named:
		b.WriteString("your card does not name this node: it shares nothing, and others let it in once they have the card that does")
	case ok && n.memberKey() == nil:
		b.WriteString("this home was restored from a backup, and the node of before is not retired: tipmesh card node retire " + old.Short())
	case ok:
		b.WriteString("this home was restored from a backup: asking the others for what the node of before wrote since; then it is retired")
	}
	return b.String()
}
