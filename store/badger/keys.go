package badger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Keys of the entries database: one letter, then the identifier.
const (
	keyMeta      = 'M' // M: format, incarnation
	keyStatement = 's' // s ID: the signed statement
	keyEntry     = 'e' // e feed seq part: header (part 0) and payload (part 1), side by side for Range
	keyFeed      = 'f' // f feed: see feed.record; rewritten with every entry
	keyMissing   = 'x' // x feed seq: the payload is not held, so that opening need not visit every entry
	keyErased    = 'z' // z feed: the payloads that went for good, as store.Ranges
	keyArrival   = 'a' // a number: place
	keyArrived   = 'r' // r feed seq: the number of the place's arrival
	keySetting   = 't' // t name: value
)

const (
	partHeader  = 0
	partPayload = 1
)

func statementKey(id protocol.StatementID) []byte {
	return append([]byte{keyStatement}, id[:]...)
}

func feedKey(id protocol.FeedID) []byte { return append([]byte{keyFeed}, id[:]...) }

func erasedKey(id protocol.FeedID) []byte { return append([]byte{keyErased}, id[:]...) }

func settingKey(name string) []byte { return append([]byte{keySetting}, name...) }

func arrivalKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyArrival}, number)
}

// placeKey is a letter, the feed, the sequence number and a suffix.
func placeKey(letter byte, p store.Place, suffix ...byte) []byte {
	key := make([]byte, 0, 1+32+8+len(suffix))
	key = append(key, letter)
	key = append(key, p.Feed[:]...)
	key = binary.BigEndian.AppendUint64(key, p.Seq)
	return append(key, suffix...)
}

func headerKey(p store.Place) []byte  { return placeKey(keyEntry, p, partHeader) }
func payloadKey(p store.Place) []byte { return placeKey(keyEntry, p, partPayload) }

// parsePlace reads the feed and the sequence number after a key's letter.
func parsePlace(key []byte) (store.Place, error) {
	if len(key) < 1+32+8 {
		return store.Place{}, fmt.Errorf("read key: %d bytes", len(key))
	}
	return store.Place{Feed: protocol.FeedID(key[1:33]), Seq: binary.BigEndian.Uint64(key[33:41])}, nil
}

func encodePlace(p store.Place) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 40), p.Feed[:]...), p.Seq)
}

func decodePlace(value []byte) (store.Place, error) {
	if len(value) != 40 {
		return store.Place{}, fmt.Errorf("read arrival: %d bytes", len(value))
	}
	return store.Place{Feed: protocol.FeedID(value[:32]), Seq: binary.BigEndian.Uint64(value[32:])}, nil
}

// Keys of the index. All rows that an exact look-up needs are read by their keys.
const (
	indexMeta   = 'M' // M: see indexState.meta; moves with the checkpoint
	indexDirty  = 'D' // D: the boot the index was open in; absent after a clean close
	indexMember = 'n' // n number: the member and how many objects it has
	indexCommon = 't' // t number: what objects of an arrival have in common, see common
	indexObject = 'o' // o id: the newest version in every member's name
	indexOlder  = 'O' // O id member ^modified content: an older version
	indexValue  = 'v' // v site: the objects that any version has the value of, see postings
	indexValues = 'V' // V site number: more of them
	indexRef    = 'r' // r target ^arrival ^ordinal id: nothing
	indexWord   = 'w' // w token 0 ^arrival ^ordinal id: nothing
)

// idLen is how much of an ID's digest stands in keys: nobody finds another ID
// for one of 96 bits, and who makes two of their own harms themselves.
const idLen = 12

const olderKeyLen = 1 + idLen + 4 + 8 + 8

func objectKey(key []byte, id *[32]byte) []byte {
	return append(append(key, indexObject), id[:idLen]...)
}

// olderPrefix is what the keys of a member's older versions begin with.
func olderPrefix(id []byte, member uint32) []byte {
	key := append(append(make([]byte, 0, olderKeyLen), indexOlder), id[:idLen]...)
	return binary.BigEndian.AppendUint32(key, member)
}

func olderKey(id []byte, member uint32, modified int64, content [8]byte) []byte {
	// Newest first; flipping the sign bit orders times before 1970 too.
	key := binary.BigEndian.AppendUint64(olderPrefix(id, member), ^(uint64(modified) ^ 1<<63))
	return append(key, content[:]...)
}

// valueKey is the key of a value's postings; sum is the value's digest.
func valueKey(key []byte, v store.Value, sum *[32]byte) []byte {
	key = append(key, indexValue)
	if s, ok := store.SiteOf(v); ok {
		return appendSite(key, &s)
	}
	return append(append(key, siteNone), sum[:12]...)
}

func commonKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{indexCommon}, number)
}

func memberKey(number uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{indexMember}, number)
}

func sumOfValue(v store.Value) [32]byte {
	var buf [128]byte
	b := append(buf[:0], v.Type...)
	b = append(b, 0)
	return sha256.Sum256(append(b, v.Text...))
}

func sumOfID(stixID string) [32]byte {
	var buf [96]byte
	return sha256.Sum256(append(buf[:0], stixID...))
}
