package action.mobile.recognizer

/**
 * A place in a manifest: the [value] there and the [path] to it, `$.input.shape[1]`.
 *
 * Every function gives what it is named after and throws [BundleException] with the place for
 * anything else.
 */
internal class Node(val value: Any?, val path: String) {
    /** The member of this name. */
    operator fun get(name: String): Node {
        val members = members()
        if (name !in members) fail("has no $name")
        return Node(members[name], "$path.$name")
    }

    /** The member of this name; null where there is none or it is null. */
    fun orNone(name: String): Node? = members()[name]?.let { Node(it, "$path.$name") }

    /** This node, which has these members, perhaps the [optional] ones, and no others. */
    fun keys(vararg names: String, optional: List<String> = emptyList()): Node {
        val members = members()
        for (name in names) if (name !in members) fail("has no $name")
        for (name in members.keys) if (name !in names && name !in optional) fail("has ${quoted(name)}, which the format does not know")
        return this
    }

    fun text(): String = value as? String ?: fail("is no text")

    fun truth(): Boolean = value as? Boolean ?: fail("is neither true nor false")

    fun number(least: Double = -Double.MAX_VALUE, most: Double = Double.MAX_VALUE): Double {
        val number = value as? Double ?: fail("is no number")
        if (number < least || number > most) fail("is $number: it has to lie in $least to $most")
        return number
    }

    fun whole(least: Int, most: Int): Int {
        val number = number(least.toDouble(), most.toDouble())
        if (number != Math.rint(number)) fail("is $number, which is no whole number")
        return number.toInt()
    }

    /** A text that is one of these. */
    fun one(vararg choices: String): String {
        val text = text()
        if (text !in choices) fail("is ${quoted(text)}: it has to be ${choices.joinToString(" or ")}")
        return text
    }

    fun matching(pattern: Regex): String {
        val text = text()
        if (!pattern.matches(text)) fail("is ${quoted(text)}, which is not of the form ${pattern.pattern}")
        return text
    }

    fun <T> items(least: Int, most: Int, read: (Node) -> T): List<T> {
        val items = value as? List<*> ?: fail("is no list")
        if (items.size < least || items.size > most) fail("has ${items.size} items")
        return items.mapIndexed { i, item -> read(Node(item, "$path[$i]")) }
    }

    fun <T> orNull(read: (Node) -> T): T? = if (value == null) null else read(this)

    /** The sum of an object's counts. */
    fun counts(): Int {
        val sum = members().keys.sumOf { this[it].whole(0, Int.MAX_VALUE).toLong() }
        if (sum > Int.MAX_VALUE) fail("adds up to $sum")
        return sum.toInt()
    }

    /** Reads every member of an object. */
    fun members(read: (Node) -> Unit) = members().keys.forEach { read(this[it]) }

    /** An object of texts. */
    fun texts(): Map<String, String> = members().keys.associateWith { this[it].text() }

    fun fail(reason: String): Nothing = throw BundleException("not a valid manifest: $path $reason")

    private fun members(): Map<String, Any?> {
        val members = value as? Map<*, *> ?: fail("is no object")
        @Suppress("UNCHECKED_CAST") // the reader of JSON makes no other
        return members as Map<String, Any?>
    }

    /** In one line however long it is and whatever it holds. */
    private fun quoted(text: String) = "\"" + text.take(40).replace(Regex("\\p{Cntrl}"), "?") + "\""
}
