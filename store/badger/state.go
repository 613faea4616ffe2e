package badger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// indexState is what the index keeps in memory of itself.
type indexState struct {
	incarnation protocol.Hash
	next        uint64           // number of the next common; the batch's
	lengths     [2]atomicLengths // of networks that are or were held: IPv4, IPv6

	mu      sync.RWMutex
	members []protocol.MemberID // by number
	numbers map[protocol.MemberID]uint32
	objects []uint64 // by member's number
	saved   int      // members that are on disk

	cacheMu sync.RWMutex
	cache   map[uint64]*common // by number; not to be changed
}

// maxCommons bounds the commons kept in memory: those of some ten million
// objects in bulk, at some 300 bytes.
const maxCommons = 32 << 10

func newState(incarnation protocol.Hash) *indexState {
	return &indexState{incarnation: incarnation, numbers: map[protocol.MemberID]uint32{}, cache: map[uint64]*common{}}
}

// atomicLengths is a set of prefix lengths, 0 to 128.
type atomicLengths [3]atomic.Uint64

func (l *atomicLengths) add(n int)      { l[n/64].Or(1 << (n % 64)) }
func (l *atomicLengths) has(n int) bool { return l[n/64].Load()&(1<<(n%64)) != 0 }

const metaLen = 1 + 32 + 8 + 8 + 2*3*8

// meta is the format, the incarnation, the checkpoint, the next number and the
// lengths of networks.
func (s *indexState) meta(checkpoint uint64) []byte {
	b := append(append(make([]byte, 0, metaLen), rowFormat), s.incarnation[:]...)
	b = binary.BigEndian.AppendUint64(b, checkpoint)
	b = binary.BigEndian.AppendUint64(b, s.next)
	for i := range s.lengths {
		for j := range s.lengths[i] {
			b = binary.BigEndian.AppendUint64(b, s.lengths[i][j].Load())
		}
	}
	return b
}

// read decodes meta; fits is false where it is of another format or store.
func (s *indexState) read(meta []byte) (checkpoint uint64, fits bool) {
	if len(meta) != metaLen || meta[0] != rowFormat || !bytes.Equal(meta[1:33], s.incarnation[:]) {
		return 0, false
	}
	s.next = binary.BigEndian.Uint64(meta[41:])
	for i := range s.lengths {
		for j := range s.lengths[i] {
			s.lengths[i][j].Store(binary.BigEndian.Uint64(meta[49+8*(3*i+j):]))
		}
	}
	return binary.BigEndian.Uint64(meta[33:]), true
}

// readMembers reads the members and their numbers of objects.
func (s *indexState) readMembers(txn *kv.Txn) error {
	it := keys(txn, []byte{indexMember})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		row, err := valueOf(it.Item())
		if err != nil {
			return err
		}
		if !bytes.Equal(it.Item().Key(), memberKey(uint32(len(s.members)))) || len(row) != 40 {
			return fmt.Errorf("read members of index: %d are there, the next is missing", len(s.members))
		}
		m := protocol.MemberID(row[:32])
		s.numbers[m] = uint32(len(s.members))
		s.members, s.objects = append(s.members, m), append(s.objects, binary.BigEndian.Uint64(row[32:]))
	}
	s.saved = len(s.members)
	return nil
}

// nextCommon gives a number that was not used before.
func (s *indexState) nextCommon() uint64 {
	s.next++
	return s.next
}

// numberOf gives a member's number; the batch's, which writes new ones down.
func (s *indexState) numberOf(m protocol.MemberID) uint32 {
	s.mu.RLock()
	n, ok := s.numbers[m]
	s.mu.RUnlock()
	if ok {
		return n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n = uint32(len(s.members))
	s.numbers[m] = n
	s.members, s.objects = append(s.members, m), append(s.objects, 0)
	return n
}

// known gives a member's number where it has one.
func (s *indexState) known(m protocol.MemberID) (uint32, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n, ok := s.numbers[m]
	return n, ok
}

// member is the member of a number.
func (s *indexState) member(n uint32) (m protocol.MemberID, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if int(n) >= len(s.members) {
		return m, fmt.Errorf("%w: member %d of the index is not there", ErrDamaged, n)
	}
	return s.members[n], nil
}

// rows gives what is to be written with a flush: meta, new members, and members
// whose number of objects changes.
func (s *indexState) rows(counts map[uint32]int64, checkpoint uint64, set func(key, row []byte)) {
	set([]byte{indexMeta}, s.meta(checkpoint))
	s.mu.RLock()
	defer s.mu.RUnlock()
	for n := range s.members {
		if more, changed := counts[uint32(n)]; changed || n >= s.saved {
			row := binary.BigEndian.AppendUint64(slices.Clone(s.members[n][:]), s.objects[n]+uint64(more))
			set(memberKey(uint32(n)), row)
		}
	}
}

// written takes over what rows gave, once it is in the database.
func (s *indexState) written(counts map[uint32]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, more := range counts {
		s.objects[n] += uint64(more)
	}
	s.saved = len(s.members)
}

func (s *indexState) count() (sum uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, n := range s.objects {
		sum += n
	}
	return sum
}

func (s *indexState) census(members []protocol.MemberID) []uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]uint64, len(members))
	for i, m := range members {
		if n, ok := s.numbers[m]; ok {
			out[i] = s.objects[n]
		}
	}
	return out
}

// noteLength remembers that networks of a length are held.
func (s *indexState) noteLength(at *store.Site) {
	if at.Net.IsValid() && at.Path == "" {
		s.lengthsOf(at.Net).add(at.Net.Bits())
	}
}

func (s *indexState) lengthsOf(p netip.Prefix) *atomicLengths {
	if p.Addr().Is4() {
		return &s.lengths[0]
	}
	return &s.lengths[1]
}

// common gives what versions lean on.
func (s *indexState) common(txn *kv.Txn, number uint64) (*common, error) {
	s.cacheMu.RLock()
	c := s.cache[number]
	s.cacheMu.RUnlock()
	if c != nil {
		return c, nil
	}
	raw, err := getIn(txn, commonKey(number))
	if err != nil {
		return nil, fmt.Errorf("read what objects of an arrival have in common: %w: %w", ErrDamaged, err)
	}
	if c, err = parseCommon(number, raw); err != nil {
		return nil, err
	}
	if c.o.Member, err = s.member(c.member); err != nil {
		return nil, err
	}
	s.cacheMu.Lock()
	defer s.cacheMu.Unlock()
	if len(s.cache) >= maxCommons {
		for n := range s.cache { // any: numbers are met in no order
			delete(s.cache, n)
			break
		}
	}
	s.cache[number] = c
	return c, nil
}
