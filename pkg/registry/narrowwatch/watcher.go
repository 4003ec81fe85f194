// SPDX-License-Identifier: Apache-2.0

package narrowwatch

import (
	"sync"

	"k8s.io/apimachinery/pkg/watch"
)

// buffer is the number of events that wait to be written to the client. While events
// wait, the connection is not flushed.
const buffer = 100

// watcher delivers initial events and then those of another watch.
type watcher struct {
	result  chan watch.Event
	stopped chan struct{}
	stop    sync.Once
}

func start(first []watch.Event, events watch.Interface) *watcher {
	w := &watcher{result: make(chan watch.Event, buffer), stopped: make(chan struct{})}
	go w.run(first, events)
	return w
}

// run ends when the other watch ends or this one is stopped. If a client is slow, events
// wait in the cache, which ends the watches of clients that are too slow.
func (w *watcher) run(first []watch.Event, events watch.Interface) {
	defer close(w.result)
	defer events.Stop()
	for i := range first {
		if !w.deliver(first[i]) {
			return
		}
		// Release the event, so only the receiver refers to its object.
		first[i] = watch.Event{}
	}
	for {
		select {
		case event, ok := <-events.ResultChan():
			if !ok || !w.deliver(event) {
				return
			}
		case <-w.stopped:
			return
		}
	}
}

func (w *watcher) deliver(event watch.Event) bool {
	select {
	case w.result <- event:
		return true
	case <-w.stopped:
		return false
	}
}

// Stop implements watch.Interface.
func (w *watcher) Stop() { w.stop.Do(func() { close(w.stopped) }) }

// ResultChan implements watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.result }
