package io.ucow.it.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A store of ucow's own, made with other options than the defaults: what these cost beside {@code store-plain}, which has
 * none, in the same run.
 *
 * @param name what {@code --targets} selects
 * @param options of {@code ucow create} and {@code ucow flatten}
 */
record StoreKind(String name, Path ucow, List<String> options) implements Target {
    /** The one that the others are compared with. */
    static final String PLAIN = "store-plain";

    /** All kinds: one line for each. */
    static List<Target> all(Path ucow) {
        return List.of(
                new StoreKind(PLAIN, ucow, List.of()),
                new StoreKind("store-lz4", ucow, List.of("--compress", "lz4")),
                new StoreKind("store-checksums", ucow, List.of("--checksums")));
    }

    @Override
    public Family family() {
        return Family.STORE;
    }

    /** An empty one, as large as the base. */
    @Override
    public Attachment attach(Scratch scratch) throws IOException {
        Path image = image(scratch);
        Attachment attachment = new Attachment();
        attachment.onClose(() -> Files.deleteIfExists(image));
        List<Object> create = new ArrayList<>(List.of("create", "--size", Files.size(scratch.base())));
        create.addAll(options);
        create.add(image);
        scratch.program(ucow, create.toArray()).run();
        attach(scratch, attachment);
        return attachment;
    }

    /** One that holds the tree, all of it in the form that its chunks have in the end. */
    @Override
    public Attachment attachTree(Scratch scratch) throws IOException {
        Path image = image(scratch);
        Path over = scratch.path("over.cow");
        Attachment attachment = new Attachment();
        attachment.onClose(() -> Files.deleteIfExists(image));
        attachment.onClose(() -> Files.deleteIfExists(over));
        scratch.program(ucow, "create", "--base", scratch.tree(), over).run();
        List<Object> flatten = new ArrayList<>(List.of("flatten", "-O", "ucow"));
        flatten.addAll(options);
        flatten.addAll(List.of(over, image));
        scratch.program(ucow, flatten.toArray()).run();
        attach(scratch, attachment);
        return attachment;
    }

    private void attach(Scratch scratch, Attachment attachment) throws IOException {
        Path image = image(scratch);
        String device = scratch.program(ucow, "attach", image).run();
        attachment.onClose(() -> scratch.program(ucow, "detach", image).run());
        attachment.setDevice(Path.of(device.strip()));
    }

    @Override
    public long takenBytes(Scratch scratch) throws IOException {
        return scratch.takenBytes(image(scratch));
    }

    private static Path image(Scratch scratch) {
        return scratch.path("store.cow");
    }
}
