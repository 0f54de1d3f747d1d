package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ChunkFuturesTest {
    private final ChunkFutures futures = new ChunkFutures(0);

    @Test
    void secondClaimWaitsForTheFirst() throws Exception {
        futures.claim(5);
        Crew.Member second = Crew.start(() -> {
            futures.claim(5);
            futures.complete(5);
        });
        Crew.awaitTrue(() -> futures.waits() == 1);
        assertThat(second.isDone()).isFalse();
        futures.complete(5);
        second.join();
        futures.claim(5);
        futures.complete(5);
        assertThat(futures.waits()).isEqualTo(1);
    }

    @Test
    void chunksOfAGroupHaveOneFuture() throws Exception {
        ChunkFutures groups = new ChunkFutures(2);
        groups.claim(6, 13);
        assertThat(groups.isShared(4, 7)).isTrue();
        assertThat(groups.isShared(7, 8)).isFalse();
        assertThat(groups.tryClaim(4)).isFalse();
        assertThat(groups.tryClaim(15)).isFalse();
        assertThat(groups.tryClaim(3)).isTrue();
        assertThat(groups.tryClaim(16)).isTrue();
        Crew.Member other = Crew.start(() -> groups.claim(5));
        Crew.awaitTrue(() -> groups.waits() == 1);
        groups.complete(6, 13);
        other.join();
        assertThat(groups.tryClaim(7)).isFalse();
        assertThat(groups.tryClaim(8)).isTrue();
    }

    @Test
    void tryingDoesNotWait() throws Exception {
        futures.claim(5);
        assertThat(futures.tryClaim(5)).isFalse();
        assertThat(futures.tryClaim(4)).isTrue();
        Crew.Member other = Crew.start(() -> futures.claim(4));
        Crew.awaitTrue(() -> futures.waits() == 1);
        futures.complete(4);
        other.join();
        assertThat(futures.tryClaim(4)).isFalse();
        futures.complete(5);
        assertThat(futures.tryClaim(5)).isTrue();
    }

    @Test
    void manyClaimsOfOneThreadGrowTheBucketsAndDisturbNobody() {
        // More than buckets times their first capacity.
        for (long chunk = 0; chunk < 5000; chunk++) {
            futures.claim(chunk);
        }
        futures.claim(Long.MAX_VALUE);
        for (long chunk = 0; chunk < 5000; chunk++) {
            futures.complete(chunk);
        }
        futures.complete(Long.MAX_VALUE);
        assertThat(futures.waits()).isZero();
    }

    @Test
    void completionWakesTheRightOneAmongChunksOfABucket() throws Exception {
        // With 256 buckets, some of these share one.
        List<Crew.Member> waiting = new ArrayList<>();
        for (long chunk = 0; chunk < 600; chunk++) {
            futures.claim(chunk);
        }
        for (long chunk = 0; chunk < 600; chunk += 100) {
            long mine = chunk;
            waiting.add(Crew.start(() -> {
                futures.claim(mine);
                futures.complete(mine);
            }));
        }
        Crew.awaitTrue(() -> futures.waits() == 6);
        for (long chunk = 0; chunk < 600; chunk++) {
            if (chunk % 100 != 0) {
                futures.complete(chunk);
            }
        }
        assertThat(waiting).noneMatch(Crew.Member::isDone);
        for (int i = 5; i >= 0; i--) {
            futures.complete(i * 100L);
            waiting.get(i).join();
        }
    }

    @Test
    void neverTwoHoldersOfOneChunk() throws Exception {
        AtomicIntegerArray holders = new AtomicIntegerArray(8);
        List<Crew.Member> crew = new ArrayList<>();
        for (int t = 0; t < 6; t++) {
            Random random = new Random(t);
            crew.add(Crew.start(() -> {
                for (int i = 0; i < 5000; i++) {
                    int from = random.nextInt(8);
                    int to = from + random.nextInt(8 - from);
                    for (int c = from; c <= to; c++) {
                        futures.claim(c);
                        assertThat(holders.incrementAndGet(c)).isEqualTo(1);
                    }
                    for (int c = from; c <= to; c++) {
                        holders.decrementAndGet(c);
                        futures.complete(c);
                    }
                }
            }));
        }
        for (Crew.Member member : crew) {
            member.join();
        }
    }
}
