// The peer of the tests of the transparency log: does with golang.org/x/mod/sumdb what a client of a log does, over
// the files that a test wrote, and writes a note of its own for the test to read.
//
// Run by tests/tlog/go.rs. Its one argument is the directory of the files.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

var dir string

func check(err error) {
	if err != nil {
		log.Output(2, err.Error())
		os.Exit(1)
	}
}

func load(name string) []byte {
	data, err := os.ReadFile(filepath.Join(dir, name))
	check(err)
	return data
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	check(err)
	return n
}

// Every line but the last, which is empty.
func lines(text []byte) []string {
	all := strings.Split(string(text), "\n")
	return all[:len(all)-1]
}

func hashes(lines []string) []tlog.Hash {
	var hashes []tlog.Hash
	for _, line := range lines {
		h, err := tlog.ParseHash(line)
		check(err)
		hashes = append(hashes, h)
	}
	return hashes
}

// A byte of the hash at i, another.
func flipped(hashes []tlog.Hash, i, place int) []tlog.Hash {
	altered := append([]tlog.Hash(nil), hashes...)
	altered[i][place] ^= 1
	return altered
}

// The note, opened; each of its bytes matters.
func checkpoint(name string, known note.Verifiers) tlog.Tree {
	msg := load(name)
	opened, err := note.Open(msg, known)
	check(err)
	if len(opened.Sigs) != 1 || len(opened.UnverifiedSigs) != 1 {
		log.Fatalf("%s: %d good signatures, %d unknown", name, len(opened.Sigs), len(opened.UnverifiedSigs))
	}
	tree, err := tlog.ParseTree([]byte(opened.Text))
	check(err)
	if got := string(tlog.FormatTree(tree)); got != opened.Text {
		log.Fatalf("%s: formatted as %q", name, got)
	}
	// The last character of base64 before the padding has bits that Go does not look at.
	first := bytes.Index(msg, []byte("=\n\u2014 unknown"))
	for i := range msg[:first-1] {
		altered := append([]byte(nil), msg...)
		altered[i] ^= 1
		if _, err := note.Open(altered, known); err == nil {
			log.Fatalf("%s: byte %d may be another", name, i)
		}
	}
	return tree
}

// The entries of a tree, from its bundles.
func entries(size int64) [][]byte {
	var all [][]byte
	for n := int64(0); n*256 < size; n++ {
		tile := tlog.Tile{H: height, L: 0, N: n, W: 256}
		if size-n*256 < 256 {
			tile.W = int(size - n*256)
		}
		bundle := load(strings.Replace(path(tile), "tile/0/", "tile/entries/", 1))
		for i := 0; i < tile.W; i++ {
			length := int(binary.BigEndian.Uint16(bundle))
			all = append(all, bundle[2:2+length])
			bundle = bundle[2+length:]
		}
		if len(bundle) != 0 {
			log.Fatalf("bundle %d goes on", n)
		}
	}
	return all
}

// As c2sp.org/tlog-tiles has it: the height is not part of it.
func path(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
}

// Reads tiles from files, and one of them with a byte that is another.
type tiles struct{ altered string }

func (t tiles) Height() int                         { return height }
func (t tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		data := load(path(tile))
		if len(data) != tile.W*tlog.HashSize {
			return nil, errors.New("length of " + path(tile))
		}
		if path(tile) == t.altered {
			data[len(data)/2] ^= 1
		}
		all = append(all, data)
	}
	return all, nil
}

func main() {
	log.SetFlags(log.Lshortfile)
	dir = os.Args[1]
	verifier, err := note.NewVerifier(strings.TrimSpace(string(load("verifier"))))
	check(err)
	known := note.VerifierList(verifier)
	old, tree := checkpoint("checkpoint.old", known), checkpoint("checkpoint", known)

	// The tree from its entries, and from its tiles.
	records := entries(tree.N)
	var stored []tlog.Hash
	memory := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, i := range indexes {
			found = append(found, stored[i])
		}
		return found, nil
	})
	var leaves []int64
	for n, record := range records {
		more, err := tlog.StoredHashes(int64(n), record, memory)
		check(err)
		stored = append(stored, more...)
		leaves = append(leaves, tlog.StoredHashIndex(0, int64(n)))
	}
	for _, tree := range []tlog.Tree{old, tree} {
		root, err := tlog.TreeHash(tree.N, memory)
		check(err)
		if root != tree.Hash {
			log.Fatalf("the root of %d leaves is another", tree.N)
		}
	}
	reader := tlog.TileHashReader(tree, tiles{})
	found, err := reader.ReadHashes(leaves)
	check(err)
	for n, hash := range found {
		if hash != tlog.RecordHash(records[n]) {
			log.Fatalf("leaf %d in the tiles is another", n)
		}
	}

	// The first leaf of each tile, from the last to the first: this version of sumdb does not authenticate some of the
	// tiles that it plans to read first (as many as hashes at the edge of the tree share a tile with others), and those
	// are then none of the altered ones.
	var first []int64
	for n := (tree.N - 1) / 256; n >= 0; n-- {
		first = append(first, leaves[n*256])
	}

	// The tiles are those that Go would write, and each of them matters.
	var expected []string
	all := tlog.NewTiles(height, 0, tree.N)
	for i, tile := range all {
		// This version names a partial tile with each width up to its own.
		if i+1 < len(all) && all[i+1].L == tile.L && all[i+1].N == tile.N {
			continue
		}
		name := path(tile)
		data, err := tlog.ReadTileData(tile, memory)
		check(err)
		written, err := os.ReadFile(filepath.Join(dir, name))
		check(err)
		if !bytes.Equal(data, written) {
			log.Fatalf("%s is another", name)
		}
		expected = append(expected, name)
		if tile.L > 0 || tile.N%50 == 0 || tile.W < 256 {
			altered := tlog.TileHashReader(tree, tiles{altered: name})
			if _, err := altered.ReadHashes(first); err == nil {
				log.Fatalf("%s may be another", name)
			}
		}
	}
	named := lines(load("tiles"))
	sort.Strings(expected)
	sort.Strings(named)
	if strings.Join(expected, "\n") != strings.Join(named, "\n") {
		log.Fatalf("%d tiles, not %d", len(named), len(expected))
	}

	// Inclusion: proofs as c2sp.org/tlog-proof has them.
	names, err := filepath.Glob(filepath.Join(dir, "inclusion", "*.tlog-proof"))
	check(err)
	inclusions := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		check(err)
		front, below, _ := strings.Cut(string(text), "\n\n")
		if below != string(load("checkpoint")) {
			log.Fatalf("%s has another checkpoint", name)
		}
		head := strings.Split(front, "\n")
		if head[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(head[1], "index ") {
			log.Fatalf("%s begins otherwise", name)
		}
		n := number(strings.TrimPrefix(head[1], "index "))
		proof, leaf := hashes(head[2:]), tlog.RecordHash(records[n])
		check(tlog.CheckRecord(proof, tree.N, tree.Hash, n, leaf))
		made, err := tlog.ProveRecord(tree.N, n, reader)
		check(err)
		if fmt.Sprint(made) != fmt.Sprint(tlog.RecordProof(proof)) {
			log.Fatalf("%s: Go proves it otherwise", name)
		}
		for i := range proof {
			for place := 0; place < tlog.HashSize; place++ {
				if tlog.CheckRecord(flipped(proof, i, place), tree.N, tree.Hash, n, leaf) == nil {
					log.Fatalf("%s: hash %d may be another", name, i)
				}
			}
		}
		inclusions++
	}

	// Growth: a line of sizes, then the old root, then the proof.
	names, err = filepath.Glob(filepath.Join(dir, "consistency", "*"))
	check(err)
	growths := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		check(err)
		all := lines(text)
		size, root, proof := number(all[0]), hashes(all[1:2])[0], hashes(all[2:])
		check(tlog.CheckTree(proof, tree.N, tree.Hash, size, root))
		made, err := tlog.ProveTree(tree.N, size, reader)
		check(err)
		if fmt.Sprint(made) != fmt.Sprint(tlog.TreeProof(proof)) {
			log.Fatalf("%s: Go proves it otherwise", name)
		}
		for i := range proof {
			for place := 0; place < tlog.HashSize; place++ {
				if tlog.CheckTree(flipped(proof, i, place), tree.N, tree.Hash, size, root) == nil {
					log.Fatalf("%s: hash %d may be another", name, i)
				}
			}
		}
		growths++
	}

	// The other way round: a checkpoint by our key and by one of Go's own.
	signer, err := note.NewSigner(strings.TrimSpace(string(load("signer"))))
	check(err)
	secret, public, err := note.GenerateKey(rand.Reader, "go.example/log")
	check(err)
	own, err := note.NewSigner(secret)
	check(err)
	signed, err := note.Sign(&note.Note{Text: string(tlog.FormatTree(tree))}, signer, own)
	check(err)
	check(os.WriteFile(filepath.Join(dir, "go.note"), signed, 0o600))
	check(os.WriteFile(filepath.Join(dir, "go.keys"), []byte(secret+"\n"+public+"\n"), 0o600))
	fmt.Printf("%d entries, %d tiles, %d inclusions, %d growths\n", len(records), len(named), inclusions, growths)
}
