"""The file that MLflow keeps beside a trained panel and runs when the model is loaded ("models from code").

Nothing imports it. It needs Pulse to be installed where it runs; the panel itself is the artefact ``panel``.
"""

import sys


def set_model() -> None:
    """Tell MLflow which object answers."""
    from pathlib import Path
    from typing import Any

    import pandas as pd
    from mlflow.models import set_model as mlflow_set_model
    from mlflow.pyfunc import PythonModel

    from pulse_assets.forecasting.serving import ORIGIN, answer
    from pulse_assets.forecasting.training import TrainedPanel

    class PanelModel(PythonModel):  # type: ignore[misc]  # mlflow ships no types
        """A trained panel as MLflow calls it: by keyword, so the names of arguments are MLflow's."""

        def load_context(self, context: Any) -> None:  # noqa: ANN401
            """Read the panel; raises ValueError where its bytes are damaged."""
            self.trained = TrainedPanel.from_bytes(Path(context.artifacts["panel"]).read_bytes())

        def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:  # noqa: ANN401, ARG002
            """Return forecasts; the parameter ``origin`` is an ISO date."""
            return answer(self.trained, model_input, str((params or {}).get(ORIGIN, "")))

    mlflow_set_model(PanelModel())


if "mlflow" in sys.modules:  # run by MLflow, not read by a tool that imports every module
    set_model()
