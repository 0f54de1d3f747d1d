package io.ucow.cli.text;

import com.grack.nanojson.JsonObject;
import java.lang.reflect.RecordComponent;

/** Counters as JSON: a record's components by their names, in their order. */
public final class RecordJson {
    private RecordJson() {}

    /** The JSON of a public record of numbers and of public records of numbers. */
    public static JsonObject of(Record counters) {
        JsonObject json = new JsonObject();
        for (RecordComponent component : counters.getClass().getRecordComponents()) {
            Object value = value(counters, component);
            json.put(component.getName(), value instanceof Record nested ? of(nested) : value);
        }
        return json;
    }

    private static Object value(Record owner, RecordComponent component) {
        try {
            return component.getAccessor().invoke(owner);
        } catch (ReflectiveOperationException e) {
            throw new IllegalArgumentException("cannot read " + component, e);
        }
    }
}
