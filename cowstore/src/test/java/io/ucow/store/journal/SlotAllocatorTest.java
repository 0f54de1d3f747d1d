package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.StoreFullException;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class SlotAllocatorTest {
    /** Not a multiple of 64. */
    private static final int COUNT = 1000;

    private static final long FIRST = 17;
    private final SlotAllocator slots = new SlotAllocator("vm.cow", FIRST, COUNT, 0);

    SlotAllocatorTest() throws NativeException {}

    @AfterEach
    void close() throws NativeException {
        slots.close();
    }

    @Test
    void lowestFreeSlotComesFirst() throws IOException {
        for (long i = 0; i < 200; i++) {
            assertThat(slots.allocateForMap()).isEqualTo(FIRST + i);
        }
        slots.free(FIRST + 150, 2);
        slots.free(FIRST + 3, 1);
        assertThat(slots.allocateForMap()).isEqualTo(FIRST + 3);
        assertThat(slots.allocateForMap()).isEqualTo(FIRST + 150);
        assertThat(slots.allocateForMap()).isEqualTo(FIRST + 151);
        assertThat(slots.allocateForMap()).isEqualTo(FIRST + 200);
    }

    @Test
    void runIsAsLongAsTheGapOrAsWanted() throws IOException {
        slots.take(FIRST + 70);
        slots.take(FIRST + 200);
        assertThat(slots.allocate(5)).isEqualTo(SlotRun.of(FIRST, 5));
        assertThat(slots.allocate(256)).as("across a word of the bit map").isEqualTo(SlotRun.of(FIRST + 5, 65));
        assertThat(slots.allocate(64)).isEqualTo(SlotRun.of(FIRST + 71, 64));
        assertThat(slots.allocate(64)).isEqualTo(SlotRun.of(FIRST + 135, 64));
        assertThat(slots.allocate(64)).isEqualTo(SlotRun.of(FIRST + 199, 1));
        assertThat(slots.allocate(256)).isEqualTo(SlotRun.of(FIRST + 201, 256));
        slots.free(FIRST + 3, 2);
        assertThat(slots.allocate(64)).isEqualTo(SlotRun.of(FIRST + 3, 2));
    }

    @Test
    void runEndsWithTheLastSlot() throws IOException {
        slots.allocate(COUNT - 3);
        assertThat(slots.allocate(256)).isEqualTo(SlotRun.of(FIRST + COUNT - 3, 3));
        assertThatThrownBy(() -> slots.allocate(2)).isInstanceOf(StoreFullException.class);
    }

    @Test
    void takenSlotsAreLeftOutAndCannotBeTakenTwice() throws IOException {
        assertThat(slots.take(FIRST)).isTrue();
        assertThat(slots.take(FIRST + 1)).isTrue();
        assertThat(slots.take(FIRST + COUNT - 1)).isTrue();
        assertThat(slots.take(FIRST)).isFalse();
        assertThat(slots.allocateForMap()).isEqualTo(FIRST + 2);
        assertThat(slots.take(FIRST + 2)).isFalse();
    }

    @Test
    void rangeIsFromTheFirstSlotForAllThatThereMayBe() {
        assertThat(slots.first()).isEqualTo(FIRST);
        assertThat(slots.isInRange(FIRST - 1)).isFalse();
        assertThat(slots.isInRange(FIRST)).isTrue();
        assertThat(slots.isInRange(FIRST + COUNT - 1)).isTrue();
        assertThat(slots.isInRange(FIRST + COUNT)).isFalse();
        assertThat(slots.isInRange(-1)).isFalse();
        assertThat(slots.isInRange(Long.MAX_VALUE)).isFalse();
    }

    @Test
    void lastSlotIsFollowedByStoreFull() throws IOException {
        for (int i = 0; i < COUNT; i++) {
            slots.allocateForMap();
        }
        for (int i = 0; i < 2; i++) {
            assertThatThrownBy(() -> slots.allocateForMap())
                    .isInstanceOf(StoreFullException.class)
                    .hasMessage("vm.cow: all 1000 slots are in use")
                    .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.ENOSPC));
        }
        slots.free(FIRST + COUNT - 1, 1);
        assertThat(slots.allocateForMap()).isEqualTo(FIRST + COUNT - 1);
        slots.free(FIRST, COUNT);
        assertThat(slots.allocateForMap()).isEqualTo(FIRST);
    }

    @Test
    void freeRunsAreMaximalAndComplete() throws IOException {
        Random random = new Random(5);
        for (int round = 0; round < 200; round++) {
            try (SlotAllocator some = new SlotAllocator("x", FIRST, COUNT, 0)) {
                BitSet used = new BitSet();
                int runs = random.nextInt(20);
                for (int i = 0; i < runs; i++) {
                    int from = random.nextInt(COUNT);
                    int to = Math.min(
                            COUNT, from + (random.nextBoolean() ? 1 + random.nextInt(4) : random.nextInt(300)));
                    for (int slot = from; slot < to; slot++) {
                        used.set(slot);
                        some.take(FIRST + slot);
                    }
                }
                int end = random.nextInt(4) == 0 ? COUNT + 100 : random.nextInt(COUNT + 1);
                BitSet seen = new BitSet();
                long[] last = {-1};
                some.forEachFreeRun(FIRST + end, (slot, count) -> {
                    int from = (int) (slot - FIRST);
                    assertThat(count).isPositive();
                    assertThat((long) from).as("runs do not touch").isGreaterThan(last[0]);
                    last[0] = from + count;
                    seen.set(from, (int) (from + count));
                });
                BitSet expected = (BitSet) used.clone();
                expected.flip(0, Math.min(end, COUNT));
                expected.clear(Math.min(end, COUNT), COUNT + 1);
                assertThat(seen).isEqualTo(expected);
            }
        }
    }

    @Test
    void runsOfThousandsOfMillionsAreFoundAtOnce() throws IOException {
        try (SlotAllocator huge = new SlotAllocator("x", FIRST, 1L << 34, 0)) {
            long top = FIRST + (1L << 34) - 2;
            huge.allocateForMap();
            huge.take(top);
            huge.take(FIRST + (1L << 33));
            List<Long> runs = new ArrayList<>();
            long start = System.nanoTime();
            huge.forEachFreeRun(Long.MAX_VALUE, (slot, count) -> {
                runs.add(slot);
                runs.add(count);
            });
            assertThat(System.nanoTime() - start).isLessThan(1_000_000_000L);
            assertThat(runs)
                    .containsExactly(FIRST + 1, (1L << 33) - 1, FIRST + (1L << 33) + 1, (1L << 33) - 3, top + 1, 1L);
        }
    }

    @Test
    void whatIsInUseIsCountedAndHasAnEnd() throws IOException {
        Random random = new Random(6);
        for (int round = 0; round < 200; round++) {
            try (SlotAllocator some = new SlotAllocator("x", FIRST, 1L << 34, 0)) {
                // Near both ends of a large store.
                BitSet low = new BitSet();
                BitSet high = new BitSet();
                long top = FIRST + (1L << 34) - COUNT;
                for (int i = random.nextInt(60); i > 0; i--) {
                    int slot = random.nextInt(COUNT);
                    boolean up = round % 2 == 0 && random.nextInt(10) == 0;
                    (up ? high : low).set(slot);
                    some.take((up ? top : FIRST) + slot);
                }
                assertThat(some.used()).isEqualTo(low.cardinality() + high.cardinality());
                long end = high.isEmpty() ? FIRST + low.length() : top + high.length();
                assertThat(some.endOfUsed()).isEqualTo(end);
                high.stream().forEach(slot -> some.free(top + slot, 1));
                assertThat(some.endOfUsed()).isEqualTo(FIRST + low.length());
            }
        }
    }

    @Test
    void nothingIsHandedOutPastAnEndThatIsShut() throws Exception {
        slots.allocate(100);
        slots.free(FIRST + 40, 2);
        assertThat(slots.shutEnd()).isEqualTo(FIRST + 100);
        assertThat(slots.allocate(1)).isEqualTo(SlotRun.of(FIRST + 40, 1));
        assertThat(slots.allocate(1)).isEqualTo(SlotRun.of(FIRST + 41, 1));
        FutureTask<Long> waiting = new FutureTask<>(() -> slots.allocate(5));
        Thread thread = new Thread(waiting);
        thread.start();
        while (thread.getState() != Thread.State.WAITING) {
            Thread.onSpinWait();
        }
        assertThat(slots.endOfUsed()).isEqualTo(FIRST + 100);
        slots.openEnd();
        assertThat(waiting.get()).isEqualTo(SlotRun.of(FIRST + 100, 5));
    }

    /** Whoever got a slot has it before the end is found, or past no end at all. */
    @Test
    void endThatIsShutIsPastAllThatWereHandedOut() throws Exception {
        AtomicLong shut = new AtomicLong(Long.MAX_VALUE);
        AtomicBoolean done = new AtomicBoolean();
        ExecutorService pool = Executors.newFixedThreadPool(3);
        try {
            List<Future<Void>> guests = new ArrayList<>();
            for (int t = 0; t < 3; t++) {
                Random random = new Random(t);
                guests.add(pool.submit(() -> {
                    while (!done.get()) {
                        long run = slots.allocate(1 + random.nextInt(20));
                        long end = SlotRun.slot(run) + SlotRun.count(run);
                        assertThat(end).isLessThanOrEqualTo(shut.get());
                        slots.free(SlotRun.slot(run), SlotRun.count(run));
                    }
                    return null;
                }));
            }
            for (int i = 0; i < 20_000; i++) {
                shut.set(slots.shutEnd());
                shut.set(Long.MAX_VALUE);
                slots.openEnd();
            }
            done.set(true);
            for (Future<Void> guest : guests) {
                guest.get();
            }
        } finally {
            pool.shutdown();
        }
    }

    @Test
    void nothingIsFreeBelowTheFirstSlot() throws IOException {
        slots.forEachFreeRun(FIRST - 5, (slot, count) -> {
            throw new AssertionError("run at " + slot);
        });
        slots.forEachFreeRun(0, (slot, count) -> {
            throw new AssertionError("run at " + slot);
        });
    }

    @Test
    void manyThreadsNeverShareASlot() throws Exception {
        AtomicIntegerArray owners = new AtomicIntegerArray(COUNT);
        ExecutorService pool = Executors.newFixedThreadPool(4);
        try {
            List<Callable<Void>> jobs = new ArrayList<>();
            for (int t = 0; t < 4; t++) {
                Random random = new Random(t);
                jobs.add(() -> {
                    List<Long> mine = new ArrayList<>();
                    for (int i = 0; i < 100_000; i++) {
                        if (mine.size() < 260 && random.nextBoolean()) {
                            try {
                                long run = slots.allocate(1 + random.nextInt(random.nextBoolean() ? 1 : 100));
                                for (int s = 0; s < SlotRun.count(run); s++) {
                                    long slot = SlotRun.slot(run) + s;
                                    assertThat(owners.incrementAndGet((int) (slot - FIRST)))
                                            .isEqualTo(1);
                                    mine.add(slot);
                                }
                            } catch (StoreFullException e) {
                                assertThat(mine).isNotEmpty();
                            }
                        } else if (!mine.isEmpty()) {
                            long slot = mine.remove(random.nextInt(mine.size()));
                            owners.decrementAndGet((int) (slot - FIRST));
                            slots.free(slot, 1);
                        }
                    }
                    for (long slot : mine) {
                        owners.decrementAndGet((int) (slot - FIRST));
                        slots.free(slot, 1);
                    }
                    return null;
                });
            }
            for (Future<Void> done : pool.invokeAll(jobs)) {
                done.get();
            }
        } finally {
            pool.shutdown();
        }
        // Nothing was lost on the way.
        for (int i = 0; i < COUNT; i++) {
            assertThat(slots.allocateForMap()).isEqualTo(FIRST + i);
        }
    }

    @Test
    void lastSlotsAreForTheMapAlone() throws IOException {
        try (SlotAllocator limited = new SlotAllocator("x", FIRST, 200, 70)) {
            long run = limited.allocate(64);
            while (SlotRun.slot(run) + SlotRun.count(run) < FIRST + 130) {
                run = limited.allocate(64);
            }
            assertThatThrownBy(() -> limited.allocate(1))
                    .isInstanceOf(StoreFullException.class)
                    .hasMessageContaining("all 130 slots");
            for (int i = 0; i < 70; i++) {
                assertThat(limited.allocateForMap()).isEqualTo(FIRST + 130 + i);
            }
            assertThatThrownBy(limited::allocateForMap).isInstanceOf(StoreFullException.class);
            limited.free(FIRST + 150, 1);
            assertThatThrownBy(() -> limited.allocate(1)).isInstanceOf(StoreFullException.class);
            limited.free(FIRST + 7, 1);
            assertThat(SlotRun.slot(limited.allocate(1))).isEqualTo(FIRST + 7);
            assertThat(limited.allocateForMap()).isEqualTo(FIRST + 150);
        }
    }
}
