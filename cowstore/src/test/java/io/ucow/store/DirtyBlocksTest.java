package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.Random;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class DirtyBlocksTest {
    private static final int BLOCKS = 300;

    @Test
    void takesWhatWasMarked() throws IOException {
        Random random = new Random(3);
        try (DirtyBlocks dirty = new DirtyBlocks(BLOCKS * 4096L - 1)) {
            for (int round = 0; round < 200; round++) {
                TreeSet<Long> marked = new TreeSet<>();
                for (int i = random.nextInt(4); i >= 0; i--) {
                    long at = random.nextInt(BLOCKS * 4096 - 1);
                    long length = Math.min(random.nextInt(1 + random.nextInt(500_000)), BLOCKS * 4096 - 1 - at);
                    dirty.mark(at, length);
                    for (long block = at >> 12; length > 0 && block <= (at + length - 1) >> 12; block++) {
                        marked.add(block);
                    }
                }
                assertThat(dirty.bytes()).isEqualTo(marked.size() * 4096L);
                TreeSet<Long> taken = new TreeSet<>();
                for (long block = dirty.take(0); block >= 0; block = dirty.take(block + 1)) {
                    taken.add(block);
                }
                assertThat(taken).isEqualTo(marked);
                assertThat(dirty.bytes()).isZero();
                assertThat(dirty.takeAt(random.nextInt(1000))).isFalse();
            }
        }
    }
}
