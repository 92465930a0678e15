package action.mobile.app

import action.mobile.app.camera.CameraPlan
import action.mobile.app.camera.CameraTrouble
import action.mobile.recognizer.Event
import action.mobile.recognizer.Seen

/** What the screen shows; made by [LiveViewModel] alone and never changed. */
sealed interface UiState {
    /** What runs, or would; null until a bundle is open. */
    val model: ModelFacts?

    /** The bundle is being opened and checked. */
    data object Starting : UiState {
        override val model get() = null
    }

    /** No bundle can be used; [line] says why and what to do. */
    data class BundleProblem(val line: String) : UiState {
        override val model get() = null
    }

    /** [deniedForGood]: the system does not ask any more, only its settings help. */
    data class NeedsPermission(override val model: ModelFacts, val deniedForGood: Boolean) : UiState

    data class NoCamera(override val model: ModelFacts) : UiState

    data class CameraLost(override val model: ModelFacts, val trouble: CameraTrouble) : UiState

    /** Live; [figures] is null before the first frame. */
    data class Running(
        override val model: ModelFacts,
        val camera: CameraPlan,
        val figures: Figures?,
        val history: List<Event>, // the latest first
        val seen: Seen = Seen(),
    ) : UiState

    /** [share] of the measurement is done, 0 to 1. */
    data class Benchmarking(override val model: ModelFacts, val share: Double) : UiState

    data class BenchmarkDone(override val model: ModelFacts, val report: WrittenReport) : UiState
}

/** The bundle in use. */
data class ModelFacts(
    val name: String,
    val backend: String, // xnnpack, vulkan
    val choices: List<Choice>,
    val notices: List<String>, // why another bundle than wanted runs, which ones are damaged, …
)

/** A bundle that could be used instead. */
data class Choice(val name: String, val backend: String)

/** Live figures after a frame. */
data class Figures(
    val gesture: String?, // of the event that is open
    val confidence: Double, // of the best gesture
    val cameraRate: Double, // frames a second that the camera delivered
    val recognizedRate: Double, // frames a second that the model took
    val dropped: Long, // frames that came while the model was busy
    val missed: Long, // ticks that no frame came for
    val resets: Long,
    val medians: Medians?,
)

/** Median milliseconds of the latest frames. */
data class Medians(
    val preprocess: Double,
    val execute: Double,
    val postprocess: Double,
    val endToEnd: Double,
)

/** A report that lies in the reports folder. */
data class WrittenReport(
    val file: String,
    val path: String,
    val medianMs: Double,
    val p99Ms: Double,
    val backend: String,
    val fallback: String?,
)
