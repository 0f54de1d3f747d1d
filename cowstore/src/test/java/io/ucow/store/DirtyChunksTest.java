package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.Random;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class DirtyChunksTest {
    private static final int CHUNKS = 300;

    @Test
    void takesWhatWasMarked() throws IOException {
        Random random = new Random(3);
        try (DirtyChunks dirty = new DirtyChunks(new Geometry(CHUNKS * 4096L - 1, 12))) {
            for (int round = 0; round < 200; round++) {
                TreeSet<Long> marked = new TreeSet<>();
                for (int i = random.nextInt(4); i >= 0; i--) {
                    long at = random.nextInt(CHUNKS * 4096 - 1);
                    long length = Math.min(random.nextInt(1 + random.nextInt(500_000)), CHUNKS * 4096 - 1 - at);
                    dirty.mark(at, length);
                    for (long chunk = at >> 12; length > 0 && chunk <= (at + length - 1) >> 12; chunk++) {
                        marked.add(chunk);
                    }
                }
                assertThat(dirty.count()).isEqualTo(marked.size());
                TreeSet<Long> taken = new TreeSet<>();
                for (long chunk = dirty.take(0); chunk >= 0; chunk = dirty.take(chunk + 1)) {
                    taken.add(chunk);
                }
                assertThat(taken).isEqualTo(marked);
                assertThat(dirty.count()).isZero();
            }
        }
    }
}
