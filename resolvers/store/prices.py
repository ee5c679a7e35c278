"""A tenant's own prices of AI models, dated; they go before any public list."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Column, DateTime, Numeric, delete
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.store.database import rows


class ModelPriceRow(SQLModel, table=True):
    __tablename__ = "model_price"

    tenant_id: int = Field(primary_key=True)
    provider: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    valid_from: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    currency: str
    input_per_million: Decimal = Field(sa_column=Column(Numeric, nullable=False))
    output_per_million: Decimal = Field(sa_column=Column(Numeric, nullable=False))
    cache_read_per_million: Decimal | None = Field(default=None, sa_column=Column(Numeric))
    cache_write_per_million: Decimal | None = Field(default=None, sa_column=Column(Numeric))
    long_context_after: int | None = Field(default=None, sa_column=Column(BigInteger))
    long_context_input_per_million: Decimal | None = Field(default=None, sa_column=Column(Numeric))
    long_context_output_per_million: Decimal | None = Field(default=None, sa_column=Column(Numeric))
    long_context_cache_read_per_million: Decimal | None = Field(default=None, sa_column=Column(Numeric))
    long_context_cache_write_per_million: Decimal | None = Field(default=None, sa_column=Column(Numeric))
    batch_input_per_million: Decimal | None = Field(default=None, sa_column=Column(Numeric))
    batch_output_per_million: Decimal | None = Field(default=None, sa_column=Column(Numeric))
    batch_cache_read_per_million: Decimal | None = Field(default=None, sa_column=Column(Numeric))
    batch_cache_write_per_million: Decimal | None = Field(default=None, sa_column=Column(Numeric))


class PriceRepository:
    """Keeps the prices of the tenant entered."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def all(self, tenant_id: int) -> list[ModelPriceRow]:
        return list(await self.session.exec(select(ModelPriceRow).where(ModelPriceRow.tenant_id == tenant_id)))

    async def put(self, row: ModelPriceRow) -> None:
        """Set the price from its date on, replacing one of the same date."""
        await self.session.merge(row)

    async def remove(self, tenant_id: int, provider: str, model: str, valid_from: datetime) -> None:
        await rows(
            self.session,
            delete(ModelPriceRow)
            .where(
                col(ModelPriceRow.tenant_id) == tenant_id,
                col(ModelPriceRow.provider) == provider,
                col(ModelPriceRow.model) == model,
                col(ModelPriceRow.valid_from) == valid_from,
            )
            .returning(col(ModelPriceRow.model)),
        )
