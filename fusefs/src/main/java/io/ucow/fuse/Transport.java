package io.ucow.fuse;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.stream.Collectors;

/**
 * A way for the kernel's FUSE requests to reach {@link ImageFile}s.
 *
 * <p>Transports are found by {@link ServiceLoader}; the order in which they are registered is the order in which
 * {@link #AUTO} tries them, so the fastest comes first.
 *
 * <p>Threading: every method may be called from any thread.
 */
public interface Transport {
    /** The name that stands for the first transport usable here. */
    String AUTO = "auto";

    /** What {@code --transport} takes: lower case, no spaces, not {@link #AUTO}. */
    String name();

    /** Why this transport cannot be used by this process on this machine, in words for its user; empty if it can. */
    Optional<String> unusableBecause();

    /**
     * Mounts a directory that shows {@code files}, and serves them until the mount is gone. On return the mount
     * answers.
     *
     * @param directory an existing empty directory
     * @param files what it is to show, at least one, names distinct; their devices stay the caller's to close, after
     *     {@link Mount#awaitUnmount}
     * @throws IOException with what the system said; nothing is left mounted
     */
    Mount mount(Path directory, List<ImageFile> files, MountOptions options) throws IOException;

    /**
     * Serves on a mount that another process of this transport made, with whatever it left unanswered.
     *
     * @param directory where it is mounted, absolute and without symbolic links
     * @param files what it shows: the same, in the same order
     * @param handover from {@link Mount#handover}, or with descriptors that are duplicates of those
     * @throws UnsupportedOperationException if this transport's mounts end with their process
     * @throws IOException with what the system said; the mount is as it was before
     */
    default Mount resume(Path directory, List<ImageFile> files, MountOptions options, Handover handover)
            throws IOException {
        throw new UnsupportedOperationException("mounts of transport " + name() + " end with their process");
    }

    /**
     * The transport called {@code name}, or for {@link #AUTO} the first usable one.
     *
     * @throws IllegalArgumentException if there is none, or it is unusable; says what there is, or why
     */
    static Transport named(String name) {
        List<Transport> all = all();
        if (name.equals(AUTO)) {
            return all.stream()
                    .filter(t -> t.unusableBecause().isEmpty())
                    .findFirst()
                    .orElseThrow(() -> new IllegalArgumentException("no transport can be used here: "
                            + all.stream()
                                    .map(t -> t.name() + ": "
                                            + t.unusableBecause().orElse("usable"))
                                    .collect(Collectors.joining("; "))));
        }
        Transport transport = all.stream()
                .filter(t -> t.name().equals(name))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("no transport is called " + name + "; there are " + AUTO
                        + ", " + all.stream().map(Transport::name).collect(Collectors.joining(", "))));
        transport.unusableBecause().ifPresent(reason -> {
            throw new IllegalArgumentException("transport " + name + " cannot be used here: " + reason);
        });
        return transport;
    }

    /** Every transport, usable here or not, in {@link #AUTO}'s order. */
    static List<Transport> all() {
        return ServiceLoader.load(Transport.class, Transport.class.getClassLoader()).stream()
                .map(ServiceLoader.Provider::get)
                .toList();
    }
}
