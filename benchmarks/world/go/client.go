// One run of coder/websocket; arguments and output as ../README.md says.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

type run struct {
	url     string
	kind    websocket.MessageType
	size    int
	count   int
	message []byte
}

var background = context.Background()

// text is the last that was received; the compiler would leave out a conversion that nobody reads.
var text string

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func (r *run) open() *websocket.Conn {
	session, _, err := websocket.Dial(background, r.url, nil)
	if err != nil {
		log.Fatal(err)
	}
	session.SetReadLimit(-1)
	return session
}

func shut(session *websocket.Conn) {
	if err := session.Close(websocket.StatusNormalClosure, ""); err != nil {
		log.Fatal(err)
	}
}

func send(session *websocket.Conn, kind websocket.MessageType, message []byte) {
	if err := session.Write(background, kind, message); err != nil {
		log.Fatal(err)
	}
}

func receive(session *websocket.Conn) int {
	kind, data, err := session.Read(background)
	if err != nil {
		log.Fatal(err)
	}
	if kind == websocket.MessageText {
		text = string(data)
		return len(text)
	}
	return len(data)
}

func check(length, expected int) {
	if length != expected {
		log.Fatalf("the last message has length %d, expected %d", length, expected)
	}
}

// chunk returns what is done again and again, `count` units each time.
func (r *run) chunk(scenario string) func() {
	if scenario == "connect" {
		return func() {
			for range r.count {
				shut(r.open())
			}
		}
	}
	session := r.open()
	switch scenario {
	case "receive":
		return func() {
			send(session, websocket.MessageText, []byte("go"))
			length := 0
			for range r.count {
				length = receive(session)
			}
			check(length, r.size)
		}
	case "send":
		return func() {
			for range r.count {
				send(session, r.kind, r.message)
			}
			check(receive(session), 4)
		}
	case "round_trips":
		return func() {
			length := 0
			for range r.count {
				send(session, r.kind, r.message)
				length = receive(session)
			}
			check(length, r.size)
		}
	}
	log.Fatalf("there is no scenario of kind %q", scenario)
	return nil
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func kib(field string) float64 {
	for line := range strings.Lines(string(must(os.ReadFile("/proc/self/status")))) {
		if words := strings.Fields(line); words[0] == field+":" {
			return must(strconv.ParseFloat(words[1], 64))
		}
	}
	log.Fatalf("/proc/self/status has no %s", field)
	return 0
}

func (r *run) measure(chunk func(), warmUp, budget float64) map[string]float64 {
	for start := cpuSeconds(); cpuSeconds()-start < warmUp; {
		chunk()
	}
	units := 0
	wall, cpu := time.Now(), cpuSeconds()
	for cpuSeconds()-cpu < budget {
		chunk()
		units += r.count
	}
	each := 1e6 / float64(units)
	return map[string]float64{
		"cpu_us":  (cpuSeconds() - cpu) * each,
		"wall_us": time.Since(wall).Seconds() * each,
	}
}

func (r *run) memory() map[string]float64 {
	for range 20 {
		shut(r.open())
	}
	debug.FreeOSMemory()
	before := kib("VmRSS")
	sessions := make([]*websocket.Conn, 0, r.count)
	for range r.count {
		sessions = append(sessions, r.open())
	}
	debug.FreeOSMemory()
	grown := kib("VmRSS") - before
	for _, session := range sessions {
		shut(session)
	}
	return map[string]float64{"kib": grown / float64(r.count)}
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 8 {
		log.Fatal("usage: client KIND URL TYPE SIZE COUNT WARM_UP BUDGET")
	}
	arguments := os.Args[1:]
	r := &run{url: arguments[1], kind: websocket.MessageText}
	if arguments[2] == "binary" {
		r.kind = websocket.MessageBinary
	}
	r.size = must(strconv.Atoi(arguments[3]))
	r.count = must(strconv.Atoi(arguments[4]))
	r.message = []byte(strings.Repeat("x", r.size))
	var values map[string]float64
	if arguments[0] == "memory" {
		values = r.memory()
	} else {
		warmUp, budget := must(strconv.ParseFloat(arguments[5], 64)), must(strconv.ParseFloat(arguments[6], 64))
		values = r.measure(r.chunk(arguments[0]), warmUp, budget)
	}
	values["peak_kib"] = kib("VmHWM")
	fmt.Println(string(must(json.Marshal(values))))
}
