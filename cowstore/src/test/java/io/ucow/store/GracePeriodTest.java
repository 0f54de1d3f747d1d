package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class GracePeriodTest {
    private final GracePeriod grace = new GracePeriod();

    @Test
    void awaitReturnsAtOnceWithoutSections() {
        grace.await();
        grace.exit(grace.enter());
        grace.await();
    }

    @Test
    void awaitWaitsForSectionsOfSeveralThreads() throws Exception {
        Gate first = new Gate();
        Gate second = new Gate();
        Crew.Member a = section(first);
        Crew.Member b = section(second);
        first.awaitReached();
        second.awaitReached();
        Crew.Member waiter = Crew.start(grace::await);
        waiter.awaitBlocked();
        first.open();
        a.join();
        assertThat(waiter.isDone()).isFalse();
        second.open();
        b.join();
        waiter.join();
    }

    @Test
    void awaitDoesNotWaitForSectionsThatBeganLater() throws Exception {
        Gate before = new Gate();
        Gate after = new Gate();
        Crew.Member a = section(before);
        before.awaitReached();
        Crew.Member waiter = Crew.start(grace::await);
        waiter.awaitBlocked();
        Crew.Member b = section(after);
        after.awaitReached();
        before.open();
        a.join();
        waiter.join();
        assertThat(b.isDone()).isFalse();
        Crew.Member next = Crew.start(grace::await);
        next.awaitBlocked();
        after.open();
        next.join();
        b.join();
    }

    @Test
    void sectionMayEndOnAnotherThread() throws Exception {
        int ticket = grace.enter();
        Crew.Member waiter = Crew.start(grace::await);
        waiter.awaitBlocked();
        Crew.start(() -> grace.exit(ticket)).join();
        waiter.join();
    }

    @Test
    void interruptDoesNotEndAwaitAndIsKept() throws Exception {
        int ticket = grace.enter();
        AtomicBoolean kept = new AtomicBoolean();
        Thread[] thread = new Thread[1];
        Crew.Member waiter = Crew.start(() -> {
            thread[0] = Thread.currentThread();
            grace.await();
            kept.set(Thread.interrupted());
        });
        waiter.awaitBlocked();
        thread[0].interrupt();
        Crew.awaitTrue(() -> !thread[0].isInterrupted());
        assertThat(waiter.isDone()).isFalse();
        grace.exit(ticket);
        waiter.join();
        assertThat(kept).isTrue();
    }

    /** The use it is made for: what was unpublished before a grace period is not seen by anyone after it. */
    @Test
    void nobodyUsesWhatWasRetired() throws Exception {
        AtomicReferenceArray<AtomicBoolean> published = new AtomicReferenceArray<>(1);
        published.set(0, new AtomicBoolean(true));
        AtomicBoolean stop = new AtomicBoolean();
        AtomicLong reads = new AtomicLong();
        List<Crew.Member> readers = new ArrayList<>();
        for (int t = 0; t < 4; t++) {
            readers.add(Crew.start(() -> {
                while (!stop.get()) {
                    int ticket = grace.enter();
                    AtomicBoolean alive = published.get(0);
                    Thread.onSpinWait();
                    assertThat(alive.get()).isTrue();
                    grace.exit(ticket);
                    reads.incrementAndGet();
                }
            }));
        }
        try {
            for (int i = 0; i < 3000; i++) {
                AtomicBoolean retired = published.getAndSet(0, new AtomicBoolean(true));
                grace.await();
                retired.set(false);
            }
            Crew.awaitTrue(() -> reads.get() > 1000);
        } finally {
            stop.set(true);
        }
        for (Crew.Member reader : readers) {
            reader.join();
        }
    }

    private Crew.Member section(Gate gate) {
        return Crew.start(() -> {
            int ticket = grace.enter();
            gate.pass();
            grace.exit(ticket);
        });
    }
}
