package io.ucow.fuse;

import java.util.List;

/**
 * What another process needs to serve a mount on after this one. It is good as long as process {@code pid} lives: its
 * descriptors keep the connection, and every request not answered yet, until then.
 *
 * @param pid whose descriptors they are
 * @param descriptors of {@code /dev/fuse}, the mounted one and its clones, at least one
 * @param maxPayloadBytes longest read or write that was agreed on with the kernel
 */
public record Handover(long pid, List<Integer> descriptors, int maxPayloadBytes) {
    public Handover {
        descriptors = List.copyOf(descriptors);
        if (descriptors.isEmpty() || maxPayloadBytes <= 0) {
            throw new IllegalArgumentException("nothing to hand over: " + descriptors + ", " + maxPayloadBytes);
        }
    }
}
