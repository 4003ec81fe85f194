// SPDX-License-Identifier: Apache-2.0

package narrowwatch

import (
	"sync"

	"k8s.io/apimachinery/pkg/watch"
)

// buffer is how many events wait for whoever writes them to the client. As long
// as some do, the connection is not flushed.
const buffer = 100

// watcher delivers the first events and then those of another watch.
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

// run ends when the other watch does, or this one is stopped. While a client is
// slow, events wait in the cache, which ends the watches of clients that are too
// slow for it.
func (w *watcher) run(first []watch.Event, events watch.Interface) {
	defer close(w.result)
	defer events.Stop()
	for i := range first {
		if !w.deliver(first[i]) {
			return
		}
		// Whoever got it may let it go.
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
