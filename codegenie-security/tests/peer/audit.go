// The peer of the tests of the audit log: knows golang.org/x/mod/sumdb and nothing of this project. It opens the
// checkpoint of a log, reads the tree from its tiles, and checks which records are in it and that it only grew.
//
// Run by tests/audit_log/go.rs. Its one argument is a directory with the log in `audit` and what is claimed beside it.
package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
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

// The checkpoint in a file, signed by the key in another.
func checkpoint(name, key string) tlog.Tree {
	verifier, err := note.NewVerifier(strings.TrimSpace(string(load(key))))
	check(err)
	known := note.VerifierList(verifier)
	msg := load(name)
	opened, err := note.Open(msg, known)
	check(err)
	for i := range opened.Text {
		altered := append([]byte(nil), msg...)
		altered[i] ^= 1
		if _, err := note.Open(altered, known); err == nil {
			log.Fatalf("%s: byte %d may be another", name, i)
		}
	}
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		log.Fatalf("%s: of log %q", name, lines[0])
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := tlog.ParseHash(lines[2])
	check(err)
	return tlog.Tree{N: size, Hash: root}
}

// Reads tiles from files, and one of them with a byte that is another.
type tiles struct{ altered string }

func path(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
}

func (t tiles) Height() int                         { return height }
func (t tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		data := load("audit/" + path(tile))
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
	old, tree := checkpoint("checkpoint.old", "verifier.old"), checkpoint("audit/checkpoint", "verifier")
	reader := tlog.TileHashReader(tree, tiles{})
	root, err := tlog.TreeHash(tree.N, reader)
	check(err)
	if root != tree.Hash {
		log.Fatalf("the root of the tiles is %v, not %v", root, tree.Hash)
	}

	growth, err := tlog.ProveTree(tree.N, old.N, reader)
	check(err)
	check(tlog.CheckTree(growth, tree.N, tree.Hash, old.N, old.Hash))
	forged := old.Hash
	forged[7] ^= 1
	if tlog.CheckTree(growth, tree.N, tree.Hash, old.N, forged) == nil {
		log.Fatal("another old tree is believed")
	}

	records := strings.Split(strings.TrimSpace(string(load("records"))), "\n")
	for _, line := range records {
		words := strings.Split(line, " ")
		index, err := strconv.ParseInt(words[0], 10, 64)
		check(err)
		entry, err := hex.DecodeString(words[1])
		check(err)
		ours := tlog.RecordProof{}
		for _, word := range words[2:] {
			hash, err := tlog.ParseHash(word)
			check(err)
			ours = append(ours, hash)
		}
		theirs, err := tlog.ProveRecord(tree.N, index, reader)
		check(err)
		if fmt.Sprint(ours) != fmt.Sprint(theirs) {
			log.Fatalf("the proof of leaf %d differs", index)
		}
		check(tlog.CheckRecord(ours, tree.N, tree.Hash, index, tlog.RecordHash(entry)))
		for i := range entry {
			entry[i] ^= 1
			if tlog.CheckRecord(ours, tree.N, tree.Hash, index, tlog.RecordHash(entry)) == nil {
				log.Fatalf("leaf %d: byte %d may be another", index, i)
			}
			entry[i] ^= 1
		}
	}

	// An altered tile is noticed, whichever leaf is asked for behind it.
	first := tlog.Tile{H: height, L: 0, N: 0, W: 256}
	if tree.N < 256 {
		first.W = int(tree.N)
	}
	// The reader of some versions leaves it to the check of the proof.
	entry, err := hex.DecodeString(strings.Split(records[0], " ")[1])
	check(err)
	index, err := strconv.ParseInt(strings.Split(records[0], " ")[0], 10, 64)
	check(err)
	proof, err := tlog.ProveRecord(tree.N, index, tlog.TileHashReader(tree, tiles{altered: path(first)}))
	if err == nil && tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)) == nil {
		log.Fatal("an altered tile is believed")
	}
	fmt.Printf("%d leaves, %d records\n", tree.N, len(records))
}
