package action.mobile.app.bundles

import action.mobile.app.Choice
import action.mobile.recognizer.Bundle
import action.mobile.recognizer.BundleException
import action.mobile.recognizer.CheckResult
import action.mobile.recognizer.Program
import action.mobile.recognizer.ProgramException
import action.mobile.recognizer.selfCheck
import java.io.File

/** A bundle that may be run here, and how it came to be this one. */
class ChosenModel(
    val folder: String, // its name in the store
    val bundle: Bundle,
    val artifact: File,
    val fallback: String?, // why it is not the one that was wanted
    val notices: List<String>, // what a person should know besides
    val choices: List<Choice>,
)

/**
 * Decides which bundle runs: the wanted one, if it is whole and computes on this device what its
 * golden clip says; else an XNNPACK bundle, which runs on any processor. Blocks: not for the main
 * thread.
 */
class ModelChooser(
    private val store: BundleStore,
    private val copies: ArtifactCopies,
    private val memory: CheckMemory,
    private val programs: Programs,
    private val check: (Bundle, Program) -> CheckResult = ::selfCheck,
) {
    /**
     * The model to run. [wanted] is the folder name of a bundle, or null for the first that is good.
     * With [again] a program that failed before is checked once more: a person asked for it.
     *
     * Throws [BundleException] when there is none; the line names the way out.
     */
    fun choose(wanted: String?, again: Boolean = false): ChosenModel {
        val found = store.list()
        if (found.isEmpty()) throw BundleException("there is no bundle: ${store.wayOut}")
        copies.prune(found.mapNotNull { it.manifest?.artifact?.sha256 }.toSet())
        val first = if (wanted == null) preferred(found) else found.find { it.name == wanted } ?: preferred(found)
        val notices = found.filter { it !== first }.mapNotNull { it.problem }.toMutableList()
        if (wanted != null && first.name != wanted) {
            notices.add("there is no bundle $wanted; there are ${found.joinToString { it.name }}")
        }
        return settle(found, first, again, notices)
    }

    /** A model in place of [failed], which broke down with [reason] while it ran. */
    fun replace(failed: ChosenModel, reason: String): ChosenModel {
        memory.fail(failed.bundle.manifest.artifact.sha256, reason)
        val found = store.list()
        val first = found.find { it.name == failed.folder } ?: throw BundleException(reason)
        val others = others(found, first)
        if (others.isEmpty()) throw BundleException("${failed.folder}: $reason")
        return fallBack(found, first, others, reason, emptyList())
    }

    private fun settle(
        found: List<FoundBundle>,
        first: FoundBundle,
        again: Boolean,
        notices: List<String>,
    ): ChosenModel {
        val others = others(found, first)
        // What failed before is left out only if there is something else to run.
        val trust = again || others.isEmpty()
        val reason = try {
            val (bundle, artifact) = usable(first, trust)
            return ChosenModel(first.name, bundle, artifact, null, notices, choices(found))
        } catch (e: BundleException) {
            e.message
        } catch (e: ProgramException) {
            e.message
        } ?: "it cannot be used"
        if (others.isEmpty()) throw BundleException(reason)
        return fallBack(found, first, others, reason, notices)
    }

    private fun fallBack(
        found: List<FoundBundle>,
        first: FoundBundle,
        others: List<FoundBundle>,
        reason: String,
        notices: List<String>,
    ): ChosenModel {
        val why = "${first.name} is not used: $reason"
        val more = mutableListOf<String>()
        for (other in others) {
            try {
                val (bundle, artifact) = usable(other, again = true)
                return ChosenModel(other.name, bundle, artifact, why, notices + more, choices(found))
            } catch (e: BundleException) {
                more.add("${other.name} is not used: ${e.message}")
            } catch (e: ProgramException) {
                more.add("${other.name} is not used: ${e.message}")
            }
        }
        throw BundleException((listOf(why) + more).joinToString("; "))
    }

    /** [found] opened, copied and checked. Throws what says why it cannot be used. */
    private fun usable(found: FoundBundle, again: Boolean): Pair<Bundle, File> {
        found.problem?.let { throw BundleException(it) }
        val bundle = Bundle.open(found.files)
        val artifact = copies.of(bundle)
        val sha256 = bundle.manifest.artifact.sha256
        if (memory.passed(sha256)) return bundle to artifact
        if (!again) memory.failure(sha256)?.let { throw ProgramException("$it; choose it again to check it once more") }
        memory.begin(sha256)
        val reason = try {
            programs.open(artifact, bundle.manifest, null).use { check(bundle, it) }.reason
        } catch (e: ProgramException) {
            e.message ?: e.toString()
        }
        if (reason != null) {
            memory.fail(sha256, reason)
            throw ProgramException(reason)
        }
        memory.pass(sha256)
        return bundle to artifact
    }

    private fun others(found: List<FoundBundle>, first: FoundBundle) =
        found.filter { it !== first && it.manifest?.target == SAFE }

    private fun preferred(found: List<FoundBundle>) =
        found.find { it.manifest?.target == SAFE } ?: found.find { it.manifest != null } ?: found.first()

    private fun choices(found: List<FoundBundle>) =
        found.mapNotNull { bundle -> bundle.manifest?.let { Choice(bundle.name, it.target) } }

    private companion object {
        const val SAFE = "xnnpack" // runs on every processor; no driver is involved
    }
}
