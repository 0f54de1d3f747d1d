package io.ucow.cli;

import io.ucow.store.Changes;
import io.ucow.store.ImageInfo;
import io.ucow.store.StoreInUseException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code ucow changed}: what was written to an image since a layer was frozen; printed as {@link RangeList} says. */
@Command(
        name = "changed",
        description = {
            "List the ranges of bytes that were written to an image since one of its layers was frozen, as 'ucow snapshot'"
                    + " does, exact to the blocks of its chunks. Reads no data. The image may be in use."
        },
        mixinStandardHelpOptions = true)
final class ChangedCommand implements Callable<Integer> {
    @Mixin
    private Output output;

    @Option(names = "--since", required = true, paramLabel = "SNAPSHOT", description = "A layer that IMAGE is on.")
    private Path since;

    @Parameters(paramLabel = "IMAGE", description = "The image, or the file or loop device that it is served as.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        ImageFiles.requireLayer(since);
        ImageView view = ImageView.of(image);
        RangeList list = new RangeList(output);
        if (view instanceof ImageView.Served) {
            listServed(view, list);
        } else {
            try (Changes changes = Changes.of(image, since)) {
                changes.forEach(list::add);
            }
        }
        list.end();
        return ExitCodes.OK;
    }

    private void listServed(ImageView view, RangeList list) throws IOException {
        ImageInfo top = view.info();
        try (Changes changes = Changes.below(top, since)) {
            changes.forEach(view::forEachExtent, list::add);
        }
        if (!view.info().uuid().equals(top.uuid())) {
            throw new StoreInUseException(
                    image + ": a snapshot was taken meanwhile, and the list lacks what is in it; try again");
        }
    }
}
